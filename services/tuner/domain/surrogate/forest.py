"""A random forest that says how sure it is (Hutter et al. 2014). Imports numba."""

from dataclasses import dataclass

import numpy as np

from services.tuner.domain.space.encoding import Rows, Vector
from services.tuner.domain.surrogate.chance import State, seeded
from services.tuner.domain.surrogate.growing import grow
from services.tuner.domain.surrogate.nodes import Nodes, Numbers, add, ask


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


@dataclass
class Forest:
    """Trees whose splits are at random between the rows beside the best place.

    Attributes:
        nodes: Of all trees, with room for more.
        roots: First node of each tree.
        used: How many nodes there are.
        rows: What it learned from, and after that room for more.
        known: How many rows it learned from.
        choices: See `Encoding.choices`.
        state: Of all chance.
    """

    nodes: Nodes
    roots: Numbers
    used: int
    rows: Rows
    known: int
    choices: Numbers
    state: State

    def predicted(self, rows: Rows) -> tuple[Vector, Vector]:
        """Returns mean and variance of each row."""
        return ask(self.nodes, self.roots, self.choices, np.ascontiguousarray(rows))

    def believe(self, row: Vector) -> None:
        """Takes what it predicts of a row for true: near it there is less to find out."""
        mean, _ = self.predicted(row[None, :])
        self.rows[self.known] = row
        self.used = add(
            self.nodes,
            self.used,
            self.roots,
            self.choices,
            self.rows,
            self.known,
            float(mean[0]),
            self.state,
        )
        self.known += 1


def grown(
    rows: Rows,
    losses: Vector,
    choices: Numbers,
    generator: np.random.Generator,
    settings: ForestSettings | None = None,
    room: int = 0,
) -> Forest:
    """Learns losses of rows.

    Args:
        rows: See `Encoding`; at least one.
        losses: Finite.
        choices: See `Encoding.choices`.
        generator: Of all chance.
        settings: How trees are grown.
        room: For so many rows that are believed later.
    """
    how = settings or ForestSettings()
    columns, state = np.ascontiguousarray(rows.T), seeded(generator)
    nodes, roots, used = grow(
        columns,
        np.asarray(losses, np.float64),
        choices,
        how.trees,
        max(1, round(how.tried * len(columns))),
        float(how.least),
        how.is_bootstrapped,
        room,
        state,
    )
    kept = np.concatenate([rows, np.empty((room, rows.shape[1]))])
    return Forest(nodes, roots, used, kept, len(rows), choices, state)
