"""The search: who gets the next fold, what time is left for, what is compared in the end."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

from common.data.schema import Column, ColumnType
from common.scoring.registry import metric_for
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.search import tuning
from services.tuner.domain.search.joint import (
    joined_configuration,
    joint_space,
    parted_configuration,
)
from services.tuner.domain.search.library import FLOOR, REPEATED, Library
from services.tuner.domain.search.loop import Search, fitting_families
from services.tuner.domain.search.mixing import Mixing
from services.tuner.domain.search.pacing import Pace, predicting_seconds
from services.tuner.domain.search.racing import is_beaten, is_promising
from services.tuner.domain.search.sources import Sources
from services.tuner.domain.search.trial_loop import silent
from services.tuner.domain.search.tuning import (
    NothingLearnedError,
    Settings,
    compared_results,
    tune,
)
from services.tuner.domain.trials.hosting import TrialHost
from services.tuner.domain.trials.trial import (
    Candidate,
    Split,
    TrialFailure,
    TrialResult,
    TrialTask,
)

ROWS = 90


@pytest.fixture
def problem() -> Problem:
    """Two numbers, of which one tells the class."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(ROWS, 2))
    columns = tuple(Column(name, ColumnType.NUMERIC) for name in ("told", "noise"))
    features = pd.DataFrame(values, columns=["told", "noise"])
    truth = (values[:, 0] + 0.3 * generator.normal(size=ROWS) > 0).astype(np.int64)
    return Problem(ProblemKind.BINARY, columns, features, truth, ("no", "yes"))


@pytest.fixture
def library() -> Library:
    """Without candidates, over three folds."""
    folds = np.arange(ROWS) % 3
    splits = [Split(np.flatnonzero(folds != n), np.flatnonzero(folds == n)) for n in range(3)]
    return Library(splits)


def add(library: Library, number: int, family: str, *losses: float) -> None:
    """Adds a candidate with the losses of its first folds."""
    candidate = Candidate(number, family, {})
    library.register(candidate, "test")
    for fold, loss in enumerate(losses):
        task = TrialTask(candidate, fold, 1.0, 1.0)
        outputs = np.full((ROWS // 3, 2), float(fold))
        library.add(TrialResult(task, loss, outputs, {}, 0.5, 0.1, 0, 0, "kept"))


def fail(library: Library, number: int, failure: TrialFailure = TrialFailure.CRASHED) -> None:
    """Adds a candidate whose first fold failed."""
    candidate = Candidate(number, "linear", {})
    library.register(candidate, "test")
    task = TrialTask(candidate, 0, 1.0, 1.0)
    library.add(TrialResult(task, np.inf, None, {}, 0.1, 0.0, 0, 0, "", failure=failure))


def test_the_best_go_on_and_so_does_the_best_of_each_family(library: Library) -> None:
    """A blend gains by models that err differently; the hopeless and the failed stop."""
    for number in range(12):
        add(library, number, "forest", 0.1 + 0.01 * number)
    add(library, 12, "linear", 0.145)
    add(library, 13, "bayes", 0.9)
    fail(library, 14)
    promising = {
        number for number, entry in library.entries.items() if is_promising(library, entry)
    }
    assert promising == {0, 1, 2, 3, 4, 12}


def test_a_family_that_errs_differently_may_err_more(library: Library) -> None:
    """A blend gains even by a worse model of another family, but not by any."""
    add(library, 0, "forest", 0.1)
    add(library, 1, "linear", 0.28)
    add(library, 2, "bayes", 0.32)
    add(library, 3, "forest", 0.16)
    entries = list(library.entries.values())
    assert [is_promising(library, each) for each in entries] == [True, True, False, False]


def test_what_anybody_would_try_is_left_where_it_is_far_behind(library: Library) -> None:
    """Time is not spent on more folds of a floor that another one beats by far."""
    for number in range(6):
        add(library, number, "boosting", 0.1)
    for number, loss in ((6, 0.149), (7, 0.9)):
        add(library, number, "boosting", loss)
        library.entries[number].origin = FLOOR
    assert is_promising(library, library.entries[6])
    assert not is_promising(library, library.entries[7])


def test_the_best_come_again_where_chance_changes_them(problem: Problem, library: Library) -> None:
    """Time that is left over goes to the best once more, not to what chance leaves as it is."""
    families = list(fitting_families(problem, list(FAMILIES.values()))[0].values())
    sources = Sources(problem, families, 0)
    add(library, 0, "linear", 0.1, 0.1, 0.1)
    add(library, 1, "perceptron", 0.2, 0.2, 0.2)
    again = [candidate.family for candidate, _ in sources.again(library)]
    assert again == ["linear", "perceptron"]
    add(library, 2, "linear", 0.1)
    library.entries[2].origin = REPEATED
    assert not is_promising(library, library.entries[2])
    (candidate, origin), *others = sources.again(library)
    assert (candidate.family, origin, others) == ("perceptron", REPEATED, [])
    add(library, 3, "perceptron", 0.19)
    library.entries[3].origin = REPEATED
    assert is_promising(library, library.entries[3])


def test_what_another_one_clearly_beats_waits(library: Library) -> None:
    """A floor that is worse by more than its folds differ need not be completed first."""
    add(library, 0, "boosting", 0.10, 0.11, 0.10)
    add(library, 1, "forest", 0.14, 0.15)
    add(library, 2, "linear", 0.14)
    add(library, 3, "perceptron", 0.05, 0.17)
    beaten = [number for number, each in library.entries.items() if is_beaten(library, each)]
    assert beaten == [1], "one fold says too little, and so do two that differ as much"


def test_where_no_trial_ends_in_time_others_learn_from_fewer_rows() -> None:
    """A small model of some of a million rows is worth more than none; all learn from as many."""
    rows = np.arange(100_000)
    library = Library([Split(rows[:80_000], rows[80_000:])])
    assert library.share == 1
    for number, share in enumerate((0.25, 0.0625, 0.015625, 0.0125, 0.0125)):
        fail(library, number, TrialFailure.OUT_OF_TIME)
        assert library.share == pytest.approx(share)
    add(library, 9, "linear", 0.3)
    assert library.share == 1


def test_a_lucky_first_fold_is_no_reason_to_compare_on_it_alone(library: Library) -> None:
    """Of hundreds of candidates one is always lucky on its first fold when the time ends."""
    add(library, 0, "linear", 0.02, 0.01, 0.03)
    add(library, 1, "perceptron", 0.012)
    assert {number: len(each) for number, each in compared_results(library).items()} == {0: 3}


def test_what_is_clearly_better_needs_no_time_for_all_folds(library: Library) -> None:
    add(library, 0, "linear", 0.50, 0.52, 0.51)
    add(library, 1, "perceptron", 0.10)
    assert {number: len(each) for number, each in compared_results(library).items()} == {0: 1, 1: 1}


def test_what_fails_otherwise_costs_no_rows(library: Library) -> None:
    fail(library, 0)
    assert library.share == 1


def test_time_is_kept_for_the_end(library: Library) -> None:
    """No candidate begins that cannot become complete, and none may take all of the time."""
    now = [0.0]
    pace = Pace(60.0, 3, 0.0, lambda: now[0])
    add(library, 0, "forest", 0.1)
    entry = library.entries[0]
    assert pace.per_trial == pytest.approx(5.0)
    assert pace.affords(entry, 0.0)
    now[0] = 56.0
    assert not pace.affords(entry, 0.0)
    now[0] = 57.0
    assert pace.left < 0


def test_time_is_kept_for_what_the_final_model_predicts(library: Library) -> None:
    """Each of the models of all folds predicts each row; most of the time is for the search."""
    add(library, 0, "forest", 0.1, 0.1, 0.1)
    library.entries[0].results = [
        replace(each, predict_seconds=0.5) for each in library.entries[0].results
    ]
    # Three models, of which each judged a third of the rows; 0.1 s of each call is fixed.
    assert predicting_seconds(library, 10 * ROWS) == pytest.approx(3 * (0.1 + 0.4 * 30))
    assert predicting_seconds(library, 0) == 0
    pace = Pace(60.0, 3, 0.0, lambda: 0.0, predicting=5.0)
    assert pace.left == pytest.approx(51.5)
    pace.predicting = 1_000.0
    assert pace.left > 40


class Recorder:
    """In the place of a host of trials: keeps what is started and lets nothing of it end."""

    def __init__(self) -> None:
        self.started: list[TrialTask] = []

    def start(self, task: TrialTask) -> int:
        self.started.append(task)
        return len(self.started)

    def wait(self, seconds: float) -> None:
        return None


@pytest.mark.parametrize(("is_cut_short", "limit"), [(True, 20.0), (False, 1.25 * 18.5)])
def test_other_folds_of_a_candidate_get_as_much_time(
    problem: Problem, library: Library, is_cut_short: bool, limit: float
) -> None:
    """What was cut short keeps its limit, which would otherwise grow from fold to fold."""
    families, _ = fitting_families(problem, list(FAMILIES.values()))
    usual = families["light_boosting"].space(problem).completed({})
    candidate = Candidate(0, "light_boosting", usual)
    library.register(candidate, FLOOR)
    outputs = np.full((ROWS // 3, 2), 0.5)
    first = TrialTask(candidate, 0, 1.0, 20.0)
    library.add(
        TrialResult(first, 0.3, outputs, {}, 18.0, 0.5, 0, 0, "kept", is_cut_short=is_cut_short)
    )
    host, pace = Recorder(), Pace(100.0, 3, 0.0, lambda: 0.0)
    assert pace.per_trial < 20
    search = Search(
        cast(TrialHost, host),
        library,
        silent,
        lambda: bool(host.started),
        problem,
        families,
        Sources(problem, list(families.values()), 0),
        pace,
        0,
        Mixing(problem, metric_for(ProblemKind.BINARY, "roc_auc"), library),
    )
    search.run(1)
    (started,) = host.started
    assert started.fold == 1 and started.seconds == pytest.approx(limit)


def test_settings_go_into_the_joint_space_and_back(problem: Problem) -> None:
    """The surrogate sees all families in one space; each gets its own settings back."""
    families = list(fitting_families(problem, list(FAMILIES.values()))[0].values())
    space = joint_space(problem, families)
    generator = np.random.default_rng(1)
    for _ in range(50):
        point = space.sample(generator)
        family, own = parted_configuration(point)
        assert joined_configuration(family, own) == point
        assert FAMILIES[family].space(problem).completed(own) == own


def test_a_model_is_found_within_the_budget(problem: Problem, tmp_path: Path) -> None:
    """From rows to an estimator that names the classes as the data does."""
    settings = Settings(seconds=12.0, families=("linear", "naive_bayes"))
    found = tune(problem, settings, tmp_path)
    right = found.estimator.predict(problem.features) == np.array(problem.outputs)[problem.truth]
    assert right.mean() > 0.85
    assert {entry.candidate.family for entry in found.library.complete} <= {"linear", "naive_bayes"}
    assert found.ensemble.weights


def test_a_blend_is_bounded_where_nobody_says_how_large(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond some size it has hardly more bytes than a candidate alone."""
    monkeypatch.setattr(tuning, "_USUAL_BYTES", 1)
    settings = Settings(seconds=5.0, families=("linear", "decision_tree", "extra_trees"))
    found = tune(problem, settings, tmp_path)
    compared = compared_results(found.library)
    sizes = {number: sum(each.model_bytes for each in some) for number, some in compared.items()}
    blend = sum(sizes[number] for number in found.ensemble.weights)
    assert blend <= 1.25 * max(sizes.values())


def test_a_budget_for_no_model_at_all_is_said(problem: Problem, tmp_path: Path) -> None:
    """Nothing is made up where no trial could end."""
    with pytest.raises(NothingLearnedError, match="budget"):
        tune(problem, Settings(seconds=0.01), tmp_path)


@pytest.mark.parametrize("rows", [40, 40_000])
@pytest.mark.parametrize("kind", [ProblemKind.MULTICLASS, ProblemKind.REGRESSION])
def test_the_joint_space_has_no_flaw_whatever_the_rows(kind: ProblemKind, rows: int) -> None:
    """What large tables do not offer must not be what other settings depend on."""
    generator = np.random.default_rng(0)
    columns = tuple(Column(name, ColumnType.NUMERIC) for name in "ab")
    features = pd.DataFrame(generator.normal(size=(rows, 2)), columns=["a", "b"])
    truth = np.arange(rows) % 3 if kind.has_classes else generator.normal(size=rows)
    problem = Problem(
        kind, columns, features, truth, ("x", "y", "z") if kind.has_classes else ("t",)
    )
    families = list(fitting_families(problem, list(FAMILIES.values()))[0].values())
    assert joint_space(problem, families).flaws() == []
