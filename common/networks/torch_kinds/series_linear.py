"""Linear maps of series as torch modules; see `common.networks.kinds.series_linear`."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.covariates import beside_width
from common.networks.kinds.series_linear import SeriesLinearNetwork
from common.networks.torch_kinds.base import TorchKind
from common.networks.torch_kinds.covariates import Covariates


class SeriesLinearModel(nn.Module):
    """Two linear layers, one for the moving average of the window and one for what is off it."""

    def __init__(
        self, settings: SeriesLinearNetwork, network_input: NetworkInput, outputs: int
    ) -> None:
        """Makes the layers with weights of zero: the problem is convex."""
        super().__init__()
        self._half = settings.moving_average // 2
        self.rest = nn.Linear(network_input.window, outputs)
        layers: list[nn.Module] = [self.rest]
        self.trend: nn.Linear | None = None
        if self._half > 0:
            self.trend = nn.Linear(network_input.window, outputs, bias=False)
            layers.append(self.trend)
        self.covariates = Covariates(network_input, outputs)
        beside = beside_width(network_input, outputs)
        self.beside: nn.Linear | None = None
        if beside > 0:
            self.beside = nn.Linear(beside, outputs, bias=False)
            layers.append(self.beside)
        for layer in layers:
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `common.networks.modules.build_network`."""
        beside = self.covariates(inputs)
        output: Tensor = self._of_series(beside.rest) + beside.effects
        if self.beside is not None:
            output = output + self.beside(torch.cat(beside.numbers, dim=1))
        return output

    def _of_series(self, series: Tensor) -> Tensor:
        if self.trend is None:
            rest: Tensor = self.rest(series)
            return rest
        padded = functional.pad(series[:, None], (self._half, self._half), mode="replicate")
        smooth = functional.avg_pool1d(padded, 2 * self._half + 1, stride=1)[:, 0]
        both: Tensor = self.trend(smooth) + self.rest(series - smooth)
        return both


KIND = TorchKind(SeriesLinearModel)
