"""What training curves tell. Summaries are as in `aimass.analyzer.v1.CurvesResult`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.subject import History

Numbers = npt.NDArray[np.float64]

_SMALLER_IS_BETTER = ("loss", "error", "deviance")
_LARGER_IS_BETTER = ("accuracy", "r2", "f1", "auc", "score", "exact_match")


class CurveVerdictKind(StrEnum):
    """What curves tell, named as in `aimass.analyzer.v1.CurveVerdictKind`, the gravest first."""

    DIVERGED = "diverged"
    OVERFITTED = "overfitted"
    UNDERFITTED = "underfitted"
    SPIKES = "spikes"
    GAP = "gap"
    STILL_FALLING = "still_falling"
    FINE = "fine"


@dataclass(frozen=True)
class CurveVerdict:
    """Something that the curves tell."""

    kind: CurveVerdictKind
    text: str
    cure: str = ""
    value: float | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class Curve:
    """A number by epoch."""

    name: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    best: float | None
    last: float | None


@dataclass(frozen=True)
class RunCurves:
    """Curves of a training."""

    model_version: str
    epoch_count: int
    best_epoch: int | None
    best_by: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class CurvesSummary:
    """How the training went."""

    stands_in: str
    runs: tuple[RunCurves, ...]
    verdicts: tuple[CurveVerdict, ...]


@dataclass(frozen=True)
class CurvesFindings:
    """What the part found.

    Attributes:
        summary: The message's numbers.
        notes: What stood in, and what was cut short.
        histories: All epochs, the model's own first.
        unit: What a step of the histories is called: epoch, tree or iteration.
    """

    summary: CurvesSummary
    notes: tuple[str, ...]
    histories: tuple[History, ...]
    unit: str = "epoch"


@dataclass(frozen=True)
class StandIn:
    """What stands in for a history.

    Attributes:
        values: By name, as of a history; all of one length.
        note: Says what it is, one sentence.
        unit: What a step is called.
        first: Number of the first step.
        cuts: What was cut short, one sentence each.
        has_guess: Whether `train/loss` is the cross-entropy or the mean squared error of plain
            predictions, so that a constant guess has a loss to compare with.
    """

    values: Mapping[str, Numbers]
    note: str
    unit: str
    first: int = 1
    cuts: Sequence[str] = field(default=())
    has_guess: bool = False
    steps: npt.NDArray[np.int64] | None = None


def direction(name: str) -> int:
    """Returns 1 where a smaller number is better, -1 where a larger one is, 0 for neither."""
    metric = name.rpartition("/")[2]
    if metric.endswith(_SMALLER_IS_BETTER):
        return 1
    return -1 if metric.endswith(_LARGER_IS_BETTER) else 0


def best_by(history: History) -> str:
    """Returns the curve that the best epoch is found by; empty where there is none."""
    known = [name for name, each in history.values.items() if np.isfinite(each).any()]
    judged = [name for name in known if direction(name)]
    order = ("validation/loss", "validation/", "out_of_bag/", "train/loss", "train/")
    found = (name for start in order for name in judged if name.startswith(start))
    return next(found, judged[0] if judged else "")


def best_place(history: History) -> int | None:
    """Returns the position of the best epoch; None where it is not known."""
    name = best_by(history)
    if not name:
        return None
    losses = direction(name) * history.values[name]
    return int(np.where(np.isfinite(losses), losses, np.inf).argmin())


def thinned(values: Numbers, most: int, keep: Sequence[int]) -> npt.NDArray[np.int64]:
    """Returns positions of finite values, at most so many, the first and the last among them.

    Args:
        values: By epoch.
        most: At least 2 more than are kept.
        keep: Positions that must be there, if their values are finite.
    """
    there = np.flatnonzero(np.isfinite(values))
    if len(there) <= most:
        return there
    kept = np.intersect1d(there, np.array([*keep], np.int64))
    evenly = there[np.linspace(0, len(there) - 1, most - len(kept)).round().astype(int)]
    return np.union1d(evenly, kept).astype(np.int64)
