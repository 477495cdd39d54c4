"""Slices: rows with something in common that a model does clearly worse on than on others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.traits import Trait


@dataclass(frozen=True)
class Slice:
    """Rows that meet a condition, and whose losses are larger than elsewhere.

    Attributes:
        condition: In words, for example `age below 23.5 and sex = f`.
        columns: What the condition is on, one or two names.
        mask: Which rows of the sample meet it, bool (rows,).
        mean: Mean loss of these rows.
        elsewhere: Mean loss of the others.
        effect: Difference of the two in standard deviations of the losses.
        p_value: Of a test on rows that it was not found on, adjusted for all slices that were
            tested (Benjamini-Hochberg).
    """

    condition: str
    columns: tuple[str, ...]
    mask: npt.NDArray[np.bool_]
    mean: float
    elsewhere: float
    effect: float
    p_value: float

    @property
    def rows(self) -> int:
        """How many rows meet the condition."""
        return int(self.mask.sum())


@dataclass(frozen=True)
class SliceSearch:
    """What a search found.

    Attributes:
        slices: The clearest first; none says no more than one before it.
        notes: What was cut short, one sentence each.
    """

    slices: tuple[Slice, ...]
    notes: tuple[str, ...] = ()


def find_slices(
    losses: npt.NDArray[np.float64],
    sample: Sample,
    budget: Budget,
    *,
    seed: int,
    others: Sequence[Trait] = (),
    most: int = 20,
    rate: float = 0.05,
) -> SliceSearch:
    """Returns the slices whose mean loss is clearly larger than elsewhere.

    Args:
        losses: One finite number for each row of the sample, larger is worse: errors, or
            differences of the losses of two models.
        sample: The rows; conditions are on its columns.
        budget: Pairs of columns are left out where it ends.
        seed: Of the halves.
        others: What conditions may be on besides the columns, for example the predicted class
            (`traits.label_trait`, `traits.number_trait`).
        most: At most so many slices.
        rate: False discovery rate.
    """
    raise NotImplementedError
