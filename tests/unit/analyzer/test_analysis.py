"""Parts are worked on one after another; one that fails leaves the others whole."""

from dataclasses import dataclass

import numpy as np
import pytest

from common.data.schema import Task
from common.reports.report import Section
from services.analyzer.domain.analysis import analyse
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.part import Part, PartName, PartState
from services.analyzer.domain.subject import Subject
from services.analyzer.domain.verdict import verdict_of
from tests.support.analysis import iris
from tests.unit.analyzer.behaviour_support import subject_giving


@dataclass(frozen=True)
class Found:
    summary: object = None
    notes: tuple[str, ...] = ("cut short",)


@pytest.fixture(scope="module")
def subject() -> Subject:
    return iris()


class StoppedError(Exception):
    """Somebody cancelled."""


def part_of(*raised: Exception, share: float = 1.0) -> Part:
    def work(subject: Subject, budget: Budget) -> Found:
        for error in raised:
            raise error
        return Found()

    return Part(work, lambda found: Section("x"), share)


def test_each_end_of_a_part_is_told(subject: Subject) -> None:
    parts = {
        PartName.STRUCTURE: part_of(),
        PartName.WEIGHTS: part_of(NotApplicableError("There are none.")),
        PartName.CURVES: part_of(UnusableModelError("All is NaN.")),
        PartName.BEHAVIOUR: part_of(ZeroDivisionError("oh")),
        PartName.ROBUSTNESS: part_of(),
    }
    findings = analyse(
        subject, dict.fromkeys(parts), 5.0, lambda part, done: None, lambda: None, parts
    )
    assert [(each.state, each.notes) for each in findings.outcomes] == [
        (PartState.DONE, ("cut short",)),
        (PartState.NOT_APPLICABLE, ("There are none.",)),
        (PartState.FAILED, ("All is NaN.",)),
        (PartState.FAILED, ("ZeroDivisionError: oh",)),
        (PartState.DONE, ("cut short",)),
    ]
    assert list(findings.results) == [PartName.STRUCTURE, PartName.ROBUSTNESS]


def test_only_what_is_wanted_is_worked_on(subject: Subject) -> None:
    parts = {PartName.STRUCTURE: part_of(), PartName.WEIGHTS: part_of()}
    told: list[tuple[PartName, float]] = []
    findings = analyse(
        subject,
        {PartName.WEIGHTS: None},
        5.0,
        lambda part, done: told.append((part, done)),
        lambda: None,
        parts,
    )
    assert list(findings.results) == [PartName.WEIGHTS]
    assert told == [(PartName.WEIGHTS, 0.0)]


def test_a_cancel_inside_a_part_ends_all(subject: Subject) -> None:
    """A part that meets the cancel must not be told as one that failed."""
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks > 1:
            raise StoppedError

    parts = {PartName.STRUCTURE: part_of(StoppedError())}
    with pytest.raises(StoppedError):
        analyse(subject, dict.fromkeys(parts), 5.0, lambda part, done: None, check, parts)


def test_time_is_shared_as_parts_ask(subject: Subject) -> None:
    """What a part leaves over is for those after it; a part's own budget counts alone."""
    given: list[float] = []

    def work(subject: Subject, budget: Budget) -> Found:
        given.append(budget.left)
        return Found()

    names = (PartName.STRUCTURE, PartName.WEIGHTS, PartName.CURVES)
    shares = (1.0, 3.0, 1.0)
    parts = {
        name: Part(work, lambda found: Section("x"), share)
        for name, share in zip(names, shares, strict=True)
    }
    budgets = {PartName.STRUCTURE: None, PartName.WEIGHTS: 7.0, PartName.CURVES: None}
    analyse(subject, budgets, 10.0, lambda part, done: None, lambda: None, parts)
    assert given == pytest.approx([2.0, 7.0, 10.0], abs=0.2)


def test_health_sees_what_the_parts_found(subject: Subject) -> None:
    parts = {PartName.WEIGHTS: part_of(NotApplicableError("A tree has no weights."))}
    budgets = {PartName.WEIGHTS: None, PartName.HEALTH: None}
    findings = analyse(subject, budgets, 5.0, lambda part, done: None, lambda: None, parts)
    unchecked = {
        each.rule: each.reason for each in findings.results[PartName.HEALTH].summary.unchecked
    }
    assert unchecked["broken_weights"] == "A tree has no weights."


@pytest.mark.parametrize(
    ("truth", "told"),
    [
        (np.linspace(0, 1, 20), "explains 99"),
        (np.linspace(1, 0, 20), "no better than always saying the mean"),
        (np.full(20, 0.5), "nothing to explain"),
    ],
)
def test_the_verdict_of_a_regression_is_in_words(truth: np.ndarray, told: str) -> None:
    """A share of the variance below 0, or of none, says nothing to people."""
    outputs = np.linspace(0, 1.05, 20)[:, None]
    found = verdict_of(subject_giving(outputs, truth, Task.REGRESSION), {}, ())
    assert told in found
    assert "off by" in found


def test_a_share_of_labels_is_at_most_all_of_them() -> None:
    truth = np.ones((12, 4), bool)
    outputs = np.ones((12, 4))
    outputs[0] = 0.0
    found = verdict_of(subject_giving(outputs, truth, Task.MULTI_LABEL), {}, ())
    assert "to 100.0 %" in found
