"""Fits an ensemble on a sample: what fails or takes too long is left out and named."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.data.rows import RawRows
from common.data.schema import Column
from services.outlier.domain.calibration import Calibration, Normaliser
from services.outlier.domain.choosing import Traits, choose_detectors
from services.outlier.domain.detector import Detector, Generator, Rows, Scores, UnfitError
from services.outlier.domain.ensemble import Member, combined_scores
from services.outlier.domain.learned import Learned
from services.outlier.domain.preparation import (
    Preparation,
    PreparationOptions,
    prepare,
)

# Fewer rows are all needed for fitting; then the scores of fitted rows calibrate.
_LEAST_HELD_OUT = 1000
_HELD_OUT = 0.2
_TRIED_ROWS = 1000

SEMI_SUPERVISED = "semi_supervised"


@dataclass(frozen=True)
class Budget:
    """How long a scan may take.

    Attributes:
        deadline: When it must be done, by `clock`.
        rows: Rows that will be scored.
        clock: Monotonic seconds.
    """

    deadline: float
    rows: int
    clock: Callable[[], float] = time.monotonic

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.deadline - self.clock()


@dataclass(frozen=True)
class LeftOut:
    """A detector that takes no part.

    Attributes:
        name: Its name.
        reason: Why, one sentence.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Settled:
    """What takes part in a scan, as the first attempt settled it by the time that it had.

    Attributes:
        members: Names of what takes part.
        left_out: What does not.
    """

    members: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Fit:
    """A fitted ensemble, without a threshold yet.

    Attributes:
        preparation: Makes rows of raw columns.
        members: The detectors that take part.
        calibration: What their score means.
        left_out: The detectors that do not.
        held_out: The first so many rows of the sample were not shown to the detectors.
        seconds: About how long the members take to score all rows.
        learned: What labels taught; None for nothing.
    """

    preparation: Preparation
    members: tuple[Member, ...]
    calibration: Calibration
    left_out: tuple[LeftOut, ...]
    held_out: int = 0
    seconds: float = 0.0
    learned: Learned | None = None

    @property
    def settled(self) -> Settled:
        """What takes part, for another attempt to repeat."""
        names = [member.name for member in self.members]
        return Settled((*names, *[SEMI_SUPERVISED] * (self.learned is not None)), self.left_out)


def fit_ensemble(
    sample: RawRows,
    columns: Sequence[Column],
    generator: Generator,
    budget: Budget,
    detectors: Mapping[str, Detector] | None = None,
    options: PreparationOptions | None = None,
    settled: Settled | None = None,
) -> Fit:
    """Learns from a sample what is usual.

    Args:
        sample: Raw rows, in random order.
        columns: What its columns are.
        generator: The only source of randomness.
        budget: Limits which detectors take part; one always does.
        detectors: Those that were asked for, by name; None to choose them by the data.
        options: How rows are prepared.
        settled: What an earlier attempt settled: the same detectors take part, whatever the time.

    Raises:
        UnfitError: There are fewer than two rows, they are all alike, or no detector could be
            fitted; says why.
    """
    if sample.count < 2:
        raise UnfitError("there must be at least two rows")
    preparation = prepare(sample, columns, options)
    rows = preparation.apply(sample)
    held_out = int(rows.count * _HELD_OUT) if rows.count >= _LEAST_HELD_OUT else 0
    fitted_rows = rows.take(slice(held_out, None))
    chosen = detectors or choose_detectors(Traits.of(preparation, fitted_rows))
    if settled is None:
        fitted = _fit_members(chosen, fitted_rows, generator, budget)
    else:
        fitted = _repeat_members(chosen, fitted_rows, generator, budget, settled)
    judged = rows.take(slice(0, held_out)) if held_out else rows
    calibration = Calibration.fit(combined_scores(fitted.members, judged))
    return Fit(preparation, fitted.members, calibration, fitted.left_out, held_out, fitted.seconds)


@dataclass(frozen=True)
class _FittedMembers:
    members: tuple[Member, ...]
    left_out: tuple[LeftOut, ...]
    seconds: float


def _with_generators(
    chosen: Mapping[str, Detector], generator: Generator
) -> list[tuple[str, Detector, Generator]]:
    """Gives each detector randomness of its own, so that one more does not change the others."""
    return [
        (name, detector, np.random.default_rng(generator.integers(2**63)))
        for name, detector in chosen.items()
    ]


def _fit_members(
    chosen: Mapping[str, Detector], rows: Rows, generator: Generator, budget: Budget
) -> _FittedMembers:
    members: list[Member] = []
    left_out: list[LeftOut] = []
    promised = 0.0  # seconds that the members will take to score all rows
    for name, detector, own in _with_generators(chosen, generator):
        if members and budget.left <= promised:
            left_out.append(LeftOut(name, "there was no time left for it in the budget"))
            continue
        try:
            member, seconds = _fit_member(name, detector, rows, own, budget)
        except Exception as error:  # whatever a library raises: the others go on without it
            left_out.append(LeftOut(name, reason_of(error)))
            continue
        if members and budget.left < promised + seconds:
            left_out.append(
                LeftOut(name, f"scoring all rows with it takes {seconds:.0f} s; raise the budget")
            )
            continue
        promised += seconds
        members.append(member)
    if not members:
        reasons = "; ".join(f"{each.name}: {each.reason}" for each in left_out)
        raise UnfitError(f"no detector could be fitted ({reasons})")
    return _FittedMembers(tuple(members), tuple(left_out), promised)


def _repeat_members(
    chosen: Mapping[str, Detector],
    rows: Rows,
    generator: Generator,
    budget: Budget,
    settled: Settled,
) -> _FittedMembers:
    """Fits what was settled. What fails now did not fail then, so its error is not caught."""
    strange = set(settled.members) - {*chosen, SEMI_SUPERVISED}
    if strange:
        raise ValueError(f"other detectors were settled: {', '.join(sorted(strange))}")
    fitted = [
        _fit_member(name, detector, rows, own, budget)
        for name, detector, own in _with_generators(chosen, generator)
        if name in settled.members
    ]
    members = tuple(member for member, _ in fitted)
    return _FittedMembers(members, settled.left_out, sum(seconds for _, seconds in fitted))


def _fit_member(
    name: str, detector: Detector, rows: Rows, generator: Generator, budget: Budget
) -> tuple[Member, float]:
    """Returns a fitted member, and how long it takes to score all rows."""
    most = detector.card.most_rows
    fitted = detector.fit(rows.take(slice(0, most)), generator)
    began = budget.clock()
    scores = _finite(fitted.score(rows.take(slice(0, _TRIED_ROWS))))
    seconds = (budget.clock() - began) / len(scores) * budget.rows
    return Member(name, fitted, Normaliser.fit(scores)), seconds


def _finite(scores: Scores) -> Scores:
    if not np.isfinite(scores).all():
        raise UnfitError("its scores are not finite for this data")
    return scores


def reason_of(error: Exception) -> str:
    """Returns for users why a detector could not be fitted."""
    if isinstance(error, UnfitError):
        return str(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    return f"it failed: {type(error).__name__}: {error}"[:300]
