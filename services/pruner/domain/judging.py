"""How much worse a variant is than the original, on the same rows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from common.models.answering import Question, answer
from common.models.sample_rows import SampleRows
from common.scoring.arrays import Outputs, Positions, Truth
from common.scoring.comparison import gain_over
from common.scoring.metric import Metric
from services.pruner.domain.front import Interval
from services.pruner.domain.variants import Built

_SECONDS = 3.0
_SHARE = 0.01
# Metrics of 0 to 1: a hundredth of them is a point. Of others a hundredth of the original's counts.
_UNBOUNDED = ("log_loss", "rmse", "mae", "mape", "pinball")


@dataclass(frozen=True)
class HeldOut:
    """Rows that no model has learned from.

    Attributes:
        rows: As models take them.
        truth: What is true of them.
        weights: All count alike.
        groups: Each is its own.
    """

    rows: SampleRows
    truth: Truth
    weights: npt.NDArray[np.float64] | None = None
    groups: Positions | None = None


@dataclass(frozen=True)
class Judgement:
    """How good a variant is.

    Attributes:
        score: The metric on rows that nothing was chosen by.
        loss: By how much it is worse there than the original.
        choosing_loss: The same on the rows that variants are chosen by.
    """

    score: float
    loss: Interval
    choosing_loss: Interval


@dataclass(frozen=True)
class Judge:
    """Compares variants with the original.

    Attributes:
        metric: What counts.
        question: What models are asked for.
        original: The model as it was.
        choosing: Rows that variants are chosen by.
        judging: Rows that nothing is chosen by.
        confidence: That the loss is not above its upper bound, 0.5 to below 1.
        seed: Of all chance.
    """

    metric: Metric
    question: Question
    original: Built
    choosing: HeldOut
    judging: HeldOut
    confidence: float
    seed: int

    def judgement(self, built: Built) -> Judgement:
        """Returns how good a model is.

        Raises:
            MisfitError: The rows do not have what it takes.
            UnknownOutputsError: It gives values that are no numbers, say.
        """
        chosen, judged = self._original_chosen, self._original_judged
        if built is not self.original:
            chosen, judged = self._outputs(built, self.choosing), self._outputs(built, self.judging)
        return Judgement(
            score=self.metric.shown(self.metric.loss(self.judging.truth, judged)),
            loss=self._loss(self.judging, judged, self._original_judged),
            choosing_loss=self._loss(self.choosing, chosen, self._original_chosen),
        )

    def accepted_loss(self) -> float:
        """Returns the loss that is accepted where users do not say."""
        if not self.metric.name.startswith(_UNBOUNDED):
            return _SHARE
        return _SHARE * self.metric.loss(self.judging.truth, self._original_judged)

    @cached_property
    def _original_chosen(self) -> Outputs:
        return self._outputs(self.original, self.choosing)

    @cached_property
    def _original_judged(self) -> Outputs:
        return self._outputs(self.original, self.judging)

    def _outputs(self, built: Built, held_out: HeldOut) -> Outputs:
        return answer(built.open(), built.classes, held_out.rows, self.question)[0]

    def _loss(self, rows: HeldOut, found: Outputs, original: Outputs) -> Interval:
        two_sided = 2 * self.confidence - 1
        gain = gain_over(self.metric, rows, found, original, self.seed, _SECONDS, two_sided)
        return Interval(0.0 - gain.value, 0.0 - gain.high, 0.0 - gain.low)
