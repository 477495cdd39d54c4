"""Temporal convolutional networks as torch modules; see `common.networks.kinds.tcn`."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.tcn import TcnNetwork
from common.networks.torch_kinds.base import State, TorchKind, widths
from common.networks.torch_kinds.covariates import Covariates


class TcnModel(nn.Module):
    """Residual levels over the window, a linear layer on what the last value has seen."""

    def __init__(self, settings: TcnNetwork, network_input: NetworkInput, outputs: int) -> None:
        """Makes the levels; forecasts begin at 0."""
        super().__init__()
        channels = zip(
            pairwise((1 + network_input.past_columns, *settings.channels)),
            settings.inner_channels,
            strict=True,
        )
        self.levels = nn.Sequential(
            *(
                _Level(settings, before, inner, after, 2**place)
                for place, ((before, after), inner) in enumerate(channels)
            )
        )
        self.covariates = Covariates(network_input, outputs)
        ahead = outputs * network_input.known_columns
        self.head = nn.Linear(settings.channels[-1] + ahead, outputs)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `common.networks.modules.build_network`."""
        seen = self.covariates(inputs)
        channels = seen.rest[:, None]
        if seen.past is not None:
            channels = torch.cat([channels, seen.past.transpose(1, 2)], dim=1)
        last = self.levels(channels)[:, :, -1]
        if seen.ahead is not None:
            last = torch.cat([last, seen.ahead.flatten(1)], dim=1)
        output: Tensor = self.head(last) + seen.effects
        return output


class _Level(nn.Module):
    """Two convolutions that see the past only, whose output is added to what went in."""

    def __init__(
        self, settings: TcnNetwork, before: int, inner: int, after: int, dilation: int
    ) -> None:
        super().__init__()
        self._behind = (settings.kernel_size - 1) * dilation
        self.conv1 = nn.Conv1d(before, inner, settings.kernel_size, dilation=dilation)
        self.conv2 = nn.Conv1d(inner, after, settings.kernel_size, dilation=dilation)
        self.shortcut = nn.Identity() if before == after else nn.Conv1d(before, after, 1)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, values: Tensor) -> Tensor:
        """Takes [rows, channels, length], returns the same with other channels."""
        inner = self.dropout(functional.relu(self.conv1(self._padded(values))))
        outer = self.dropout(functional.relu(self.conv2(self._padded(inner))))
        return functional.relu(outer + self.shortcut(values))

    def _padded(self, values: Tensor) -> Tensor:
        return functional.pad(values, (self._behind, 0))


def resized_tcn(settings: TcnNetwork, state: State) -> tuple[TcnNetwork, State]:
    """See `TorchKind.resized`."""
    changes = {
        "channels": tuple(widths(state, "levels.", 3, "conv2.weight")),
        "inner_channels": tuple(widths(state, "levels.", 3, "conv1.weight")),
    }
    return settings.model_copy(update=changes), state


KIND = TorchKind(TcnModel, resized_tcn)
