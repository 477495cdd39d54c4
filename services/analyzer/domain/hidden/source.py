"""Where a model's hidden values come from, whatever its format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows

HiddenValues = npt.NDArray[np.float32]
"""Shape (rows, units) or (rows, units, ...): channels of a map and its positions."""

Visit = Callable[[str, int, HiddenValues], None]
"""Told a layer, the number of the first row, and values, which hold only during the call."""

BOUNDS: dict[str, tuple[float, float | None]] = {
    "relu": (0.0, None),
    "relu6": (0.0, 6.0),
    "tanh": (-1.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
}
"""Least and greatest value of the activation functions that have such; None for no greatest."""


@dataclass(frozen=True)
class HiddenLayer:
    """A place in a model whose values can be looked at.

    Attributes:
        name: As in the structure.
        function: What its values have gone through last, `relu` for example; empty where that is
            none of the known functions.
    """

    name: str
    function: str = ""


class HiddenSource(Protocol):
    """What gives a model's hidden values."""

    @property
    def layers(self) -> Sequence[HiddenLayer]:
        """All there are, in the order of computation."""
        ...

    @property
    def usual(self) -> Sequence[str]:
        """Names of those that are worth a look, in order: outputs of functions and blocks."""
        ...

    @property
    def note(self) -> str:
        """What stands in for hidden layers, one sentence; empty where these are such."""
        ...

    def visit(self, raw: RawRows, names: Sequence[str], visit: Visit) -> None:
        """Computes layers for rows, batch by batch; each batch of each layer is visited once.

        Args:
            raw: The rows.
            names: Of the layers.
            visit: See `Visit`.
        """
        ...
