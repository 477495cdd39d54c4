"""Linear maps of series as torch modules; see `common.networks.kinds.series_linear`."""

from torch import Tensor, nn
from torch.nn import functional

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.series_linear import SeriesLinearNetwork


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
        for layer in layers:
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, series: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `common.networks.modules.build_network`."""
        if self.trend is None:
            rest: Tensor = self.rest(series)
            return rest
        padded = functional.pad(series[:, None], (self._half, self._half), mode="replicate")
        smooth = functional.avg_pool1d(padded, 2 * self._half + 1, stride=1)[:, 0]
        both: Tensor = self.trend(smooth) + self.rest(series - smooth)
        return both
