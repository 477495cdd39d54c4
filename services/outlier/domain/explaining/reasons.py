"""What is said of one row that was explained."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Reason:
    """A column that makes a row odd.

    Attributes:
        column: Its name.
        contribution: How much of the row's score it makes up; larger is odder.
        value: The row's value, for people.
        usual: What the nearest usual rows have there, for people.
    """

    column: str
    contribution: float
    value: str
    usual: str


@dataclass(frozen=True)
class ExplainedRow:
    """Why a row is odd.

    Attributes:
        reasons: Columns that make it odd, the strongest first.
        nearest: Numbers of the nearest usual rows in the scanned data, the nearest first.
        broken: Patterns, relations and clusters that it breaks, one sentence each.
        contributions: Of each prepared column to the score, shape (columns,).
    """

    reasons: tuple[Reason, ...]
    nearest: tuple[int, ...]
    broken: tuple[str, ...]
    contributions: npt.NDArray[np.float64]
