"""A random forest that says how sure it is (Hutter et al. 2014). Imports numba."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.tuner.domain.space.encoding import Rows, Vector
from services.tuner.domain.surrogate.growing import ask, grow

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ForestSettings:
    """How trees are grown.

    Attributes:
        trees: How many.
        tried: Share of the columns that are tried for each split.
        least: Rows in each leaf.
        is_bootstrapped: Whether each tree learns from rows that are drawn with replacement.
    """

    trees: int = 20
    tried: float = 0.5
    least: int = 1
    is_bootstrapped: bool = False


@dataclass(frozen=True)
class Forest:
    """Trees whose splits are at random between the rows beside the best place.

    Attributes:
        nodes: See `grow`.
        choices: See `Encoding.choices`.
    """

    nodes: tuple[Numbers, Vector, Numbers, Numbers, Vector, Vector, Numbers]
    choices: Numbers

    def predicted(self, rows: Rows) -> tuple[Vector, Vector]:
        """Returns mean and variance of each row."""
        return ask(*self.nodes, self.choices, np.ascontiguousarray(rows))


def grown(
    rows: Rows,
    losses: Vector,
    choices: Numbers,
    generator: np.random.Generator,
    settings: ForestSettings | None = None,
) -> Forest:
    """Learns losses of rows.

    Args:
        rows: See `Encoding`; at least one.
        losses: Finite.
        choices: See `Encoding.choices`.
        generator: Of all chance.
        settings: How trees are grown.
    """
    how = settings or ForestSettings()
    columns = np.ascontiguousarray(rows.T)
    nodes = grow(
        columns,
        np.asarray(losses, np.float64),
        choices,
        how.trees,
        max(1, round(how.tried * len(columns))),
        float(how.least),
        how.is_bootstrapped,
        int(generator.integers(2**31)),
    )
    return Forest(nodes, choices)
