"""On what scale a regression's target is learned."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.tuner.domain.problem import Problem, ProblemKind, Truth


@dataclass(frozen=True)
class TargetScale:
    """What is learned instead of a regression's target; of classes these themselves.

    Attributes:
        center: What becomes 0.
        scale: What becomes 1, so that penalties mean the same for all targets.
        is_log: Whether these are of log(1 + target).
    """

    center: float = 0.0
    scale: float = 1.0
    is_log: bool = False

    @classmethod
    def of(cls, problem: Problem, truth: Truth, is_log: bool) -> "TargetScale":
        """Returns the scale of some rows."""
        if problem.kind is not ProblemKind.REGRESSION:
            return cls()
        values = _values(truth, is_log)
        return cls(float(values.mean()), float(values.std()) or 1.0, is_log)

    def scaled(self, truth: Truth) -> Truth:
        """Returns what is learned."""
        if self == TargetScale():
            return truth
        return (_values(truth, self.is_log) - self.center) / self.scale


def _values(truth: Truth, is_log: bool) -> npt.NDArray[np.float64]:
    values = truth.astype(np.float64)
    return np.log1p(values) if is_log else values
