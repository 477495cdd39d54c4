"""How much a candidate adds to a better one."""

from dataclasses import dataclass

import numpy as np

from common.scoring.metric import Metric
from services.tuner.domain.ensemble.scaling import sharpened_loss
from services.tuner.domain.problem import Outputs, Problem
from services.tuner.domain.search.library import Entry, Library

_SHARES = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Mixing:
    """Judges means of the outputs of two candidates.

    Attributes:
        problem: What is to be learned.
        metric: What is to be made small.
        library: Holds the folds.
    """

    problem: Problem
    metric: Metric
    library: Library

    def gain(self, entry: Entry, best: Entry) -> float:
        """Returns by what share a candidate makes the loss of a better one smaller; 0 for nothing.

        Args:
            entry: The candidate.
            best: The better one, with at least as many folds.
        """
        alone = best.loss(entry.folds)
        mixed = min(self._loss(entry, best, share) for share in _SHARES)
        return max(1 - mixed / alone, 0.0) if alone > 0 else 0.0

    def _loss(self, entry: Entry, best: Entry, share: float) -> float:
        pairs = zip(entry.results, best.results, strict=False)
        losses = [
            self._fold_loss(fold, share * one.outputs + (1 - share) * other.outputs)
            for fold, (one, other) in enumerate(pairs)
            if one.outputs is not None and other.outputs is not None
        ]
        # Of a search that goes on from another one outputs may be gone: then nothing is held back.
        return float(np.mean(losses)) if losses else 0.0

    def _fold_loss(self, fold: int, outputs: Outputs) -> float:
        rows = self.library.splits[fold].judged
        weights = None if self.problem.weights is None else self.problem.weights[rows]
        return sharpened_loss(self.metric, self.problem.truth[rows], outputs, weights)
