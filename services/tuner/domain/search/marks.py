"""Whether it is proven that candidates are better for the marks of an outlier scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.scoring.outlier_uses import (
    FEWEST_FOLDS,
    MOST_FOLDS,
    USES,
    Comparison,
    Use,
    compare,
)

Losses = Mapping[Use, Sequence[float]]
"""Of a candidate, by what it makes of the marks: its loss on each fold, or block of judged rows."""


@dataclass(frozen=True)
class MarksProof:
    """What was found of the marks.

    Attributes:
        comparison: Of mean losses by fold; says which use is adopted.
        candidates: How many were compared.
    """

    comparison: Comparison
    candidates: int


def proof_of(candidates: Sequence[Losses]) -> MarksProof | None:
    """Returns what is proven of the marks; None where nothing can be compared.

    Losses are averaged over the candidates fold by fold first: their folds are the same, so that
    candidates say no more of how far chance moves a fold than one does.

    Args:
        candidates: Each with the losses of all uses, on the same folds.
    """
    if not candidates:
        return None
    parts = {len(each[use]) for each in candidates for use in USES}
    if len(parts) > 1 or not FEWEST_FOLDS <= min(parts) <= MOST_FOLDS:
        return None
    means = {use: np.mean([each[use] for each in candidates], axis=0).tolist() for use in USES}
    return MarksProof(compare(means, larger_is_better=False), len(candidates))
