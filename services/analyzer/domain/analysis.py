"""Works on the parts of an analysis, one after another."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.health.checking import check_health
from services.analyzer.domain.part import Part, PartName, PartOutcome, PartResult, PartState
from services.analyzer.domain.registry import PARTS
from services.analyzer.domain.subject import Subject

_log = logging.getLogger(__name__)

_HEALTH_SHARE = 0.2

Progress = Callable[[PartName, float], None]


@dataclass
class Findings:
    """What the parts found.

    Attributes:
        results: By part; only of those that are done.
        outcomes: How each part went, in the order in which they were worked on.
    """

    results: dict[PartName, PartResult] = field(default_factory=dict)
    outcomes: list[PartOutcome] = field(default_factory=list)


def analyse(
    subject: Subject,
    budgets: Mapping[PartName, float | None],
    seconds: float,
    progress: Progress,
    check: Callable[[], None],
    parts: Mapping[PartName, Part] = PARTS,
) -> Findings:
    """Works on the parts; one that fails leaves the others whole.

    Args:
        subject: What is analysed.
        budgets: The parts that are wanted, with their own seconds, None for a share of the rest.
        seconds: For all parts together.
        progress: Told which part begins, and the share of all work that is done.
        check: Called now and then; raises to stop.
        parts: All that there are.
    """
    findings = Findings()
    jobs = {
        name: Job(partial(part.analyse, subject), part.share)
        for name, part in parts.items()
        if name in budgets
    }
    if PartName.HEALTH in budgets:
        health = partial(check_health, subject, findings.results, findings.outcomes)
        jobs[PartName.HEALTH] = Job(health, _HEALTH_SHARE)
    work_on(jobs, budgets, seconds, progress, check, findings)
    return findings


@dataclass(frozen=True)
class Job:
    """A part that is wanted, with what it is about.

    Attributes:
        work: Works it out within a budget; raises what `Part.analyse` does.
        share: Of the time, against the shares of the others.
    """

    work: Callable[[Budget], PartResult]
    share: float


def work_on(
    jobs: Mapping[PartName, Job],
    budgets: Mapping[PartName, float | None],
    seconds: float,
    progress: Progress,
    check: Callable[[], None],
    findings: Findings,
) -> None:
    """Works on jobs, in their order; one that fails leaves the others whole.

    Args:
        jobs: What is wanted.
        budgets: Seconds of each, None for a share of the rest.
        seconds: See `analyse`.
        progress: See `analyse`.
        check: See `analyse`.
        findings: What was found is put into these.
    """
    names = list(jobs)
    ends = time.monotonic() + seconds
    for place, name in enumerate(names):
        progress(name, place / len(names))
        check()
        left = max(0.0, ends - time.monotonic())
        budget = Budget(budgets[name] or left * _share(jobs, names[place:]), check)
        _work_on(name, jobs[name], budget, findings)


def _share(jobs: Mapping[PartName, Job], left: Sequence[PartName]) -> float:
    """Returns the first job's share of the time for those that are left."""
    return jobs[left[0]].share / sum(jobs[name].share for name in left)


def _work_on(name: PartName, job: Job, budget: Budget, findings: Findings) -> None:
    start = time.monotonic()
    state, notes = PartState.DONE, tuple[str, ...]()
    try:
        result = job.work(budget)
        findings.results[name] = result
        notes = tuple(result.notes)
    except NotApplicableError as error:
        state, notes = PartState.NOT_APPLICABLE, (str(error),)
    except UnusableModelError as error:
        state, notes = PartState.FAILED, (str(error),)
    except Exception as error:  # Whatever is wrong in one part, the others are whole.
        budget.check()  # but where the work as a whole was stopped, this raises
        _log.exception("The part %s failed", name)
        state, notes = PartState.FAILED, (f"{type(error).__name__}: {error}"[:300],)
    findings.outcomes.append(PartOutcome(name, state, time.monotonic() - start, notes))
