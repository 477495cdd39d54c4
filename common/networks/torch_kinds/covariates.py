"""Columns beside a series as torch modules; see `common.networks.kinds.covariates`."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.covariates import EFFECT_WIDTH


class Beside(NamedTuple):
    """A series without the effects of what is known ahead.

    Attributes:
        rest: What is left of the series, shape (rows, window).
        past: Columns along the window, shape (rows, window, columns); None where there are none.
        ahead: Known columns along the horizon, shape (rows, horizon, columns); None for none.
        effects: What to add to the outputs, shape (rows, horizon); 0 where nothing is known.
    """

    rest: Tensor
    past: Tensor | None
    ahead: Tensor | None
    effects: Tensor | float

    @property
    def numbers(self) -> list[Tensor]:
        """All columns as numbers of a row, see `beside_width`; empty where there are none."""
        return [each.flatten(1) for each in (self.past, self.ahead) if each is not None]


class Covariates(nn.Module):
    """Takes the effects of what is known ahead off a series; has no weights where nothing is."""

    def __init__(self, network_input: NetworkInput, outputs: int) -> None:
        """Makes the effects, which begin at 0."""
        super().__init__()
        self._window = window = network_input.window
        self._has_past = network_input.past_columns > 0
        self.hidden: nn.Linear | None = None
        if network_input.known_columns:
            self.hidden = nn.Linear(network_input.known_columns, EFFECT_WIDTH)
            self.effect = nn.Linear(EFFECT_WIDTH, 1, bias=False)
            nn.init.zeros_(self.effect.weight)
        # Outputs are off the last season again and again: so are effects.
        season = network_input.season
        self._baseline = [
            window - season + step % season for step in range(outputs if season else 0)
        ]

    def forward(self, inputs: Sequence[Tensor]) -> Beside:
        """Takes the network's inputs, of which the series is the first."""
        series, *others = inputs
        past = others[0] if self._has_past else None
        if self.hidden is None:
            return Beside(series, past, None, 0.0)
        known = others[-1]
        effects = self.effect(functional.relu(self.hidden(known)))[:, :, 0]
        change = effects[:, self._window :] - effects[:, self._baseline]
        rest = series - effects[:, : self._window]
        return Beside(rest, past, known[:, self._window :], change)


def joined(beside: Beside) -> Tensor:
    """Returns what is left of the series and all columns beside it, shape (rows, numbers)."""
    numbers = beside.numbers
    return torch.cat([beside.rest, *numbers], dim=1) if numbers else beside.rest
