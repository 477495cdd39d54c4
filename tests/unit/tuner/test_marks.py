"""Marks of an outlier scan as weights: what they change, and that nothing is kept without proof."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from common.data.marks import WEIGHT_FLOOR, RowMarks
from common.data.schema import Column, ColumnType
from common.scoring.outlier_uses import BASELINE, USES, Use
from common.scoring.registry import metric_for
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.folds import fold_splits
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.search.counterparts import Counterparts
from services.tuner.domain.search.earlier import Earlier
from services.tuner.domain.search.library import OUTLIERS, Library
from services.tuner.domain.search.racing import is_promising
from services.tuner.domain.search.sources import Sources
from services.tuner.domain.search.tuning import compared_results
from services.tuner.domain.trials.attempt import Desk, attempt
from services.tuner.domain.trials.marked_rows import by_marks
from services.tuner.domain.trials.messages import Order, TrialFiles, TrialSetup
from services.tuner.domain.trials.trial import Candidate, Split, TrialResult, TrialTask

ROWS, FOLDS = 240, 4
LOSSES = st.lists(st.floats(0, 10), min_size=FOLDS, max_size=FOLDS)


def problem(marked: list[bool] | None = None, kind: ProblemKind = ProblemKind.BINARY) -> Problem:
    """A number that tells the class, but for every fifth row, which is marked."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=ROWS if marked is None else len(marked))
    bad = np.arange(len(values)) % 5 == 0 if marked is None else np.array(marked)
    truth = ((values > 0) ^ bad).astype(np.int64)
    probability = np.where(bad, 0.99, 0.01).astype(np.float32)
    return Problem(
        kind,
        (Column("x", ColumnType.NUMERIC),),
        pd.DataFrame({"x": values}),
        truth if kind.has_classes else values,
        ("no", "yes") if kind.has_classes else ("y",),
        marks=RowMarks(bad, probability),
    )


def library(folds: int = FOLDS) -> Library:
    """Without candidates."""
    of = np.arange(ROWS) % folds
    return Library([Split(np.flatnonzero(of != n), np.flatnonzero(of == n)) for n in range(folds)])


def add(known: Library, candidate: Candidate, losses: list[float]) -> None:
    """Adds a candidate with the losses of its first folds."""
    known.register(candidate, "test" if candidate.use == BASELINE else OUTLIERS)
    for fold, loss in enumerate(losses):
        task = TrialTask(candidate, fold, 1.0, 1.0)
        known.add(TrialResult(task, loss, np.zeros((5, 2)), {}, 0.5, 0.1, 0, 0, "kept"))


def counterpart(number: int, of: int, use: Use) -> Candidate:
    """A candidate that differs from another one in its use."""
    return Candidate(number, "linear", {}, use=use, counterpart=of)


def compared(known: Library, keep: list[float], drop: list[float], down: list[float]) -> None:
    """Adds a candidate with all uses."""
    first = len(known.entries)
    add(known, Candidate(first, "linear", {}), keep)
    add(known, counterpart(first + 1, first, "drop"), drop)
    add(known, counterpart(first + 2, first, "down_weight"), down)


def test_marked_rows_are_left_out_or_weigh_less_and_others_are_as_they_were() -> None:
    """Protects what people are told of the uses."""
    given_ = problem()
    assert by_marks(given_, "keep") is given_
    assert given_.marks is not None
    dropped = by_marks(given_, "drop")
    assert dropped.row_count == ROWS - int(given_.marks.marked.sum())
    assert dropped.marks is not None and not dropped.marks.marked.any()
    weights = by_marks(given_, "down_weight").weights
    assert weights is not None and weights.mean() == pytest.approx(1)
    ratio = weights[given_.marks.marked].mean() / weights[~given_.marks.marked].mean()
    assert ratio == pytest.approx(WEIGHT_FLOOR / 0.99)


def test_weights_of_callers_are_multiplied() -> None:
    """Protects `weight_column`, which goes on counting."""
    own = np.linspace(1, 3, ROWS)
    weights = by_marks(replace(problem(), weights=own), "down_weight").weights
    assert weights is not None and weights.mean() == pytest.approx(own.mean())
    assert weights[-1] / weights[1] == pytest.approx(own[-1] / own[1])


@given(st.lists(st.booleans(), min_size=2, max_size=40))
def test_no_class_loses_all_its_rows(marked: list[bool]) -> None:
    """Protects rare classes: whole ones may look like outliers."""
    before = problem(marked)
    after = by_marks(before, "drop")
    assert set(after.truth.tolist()) == set(before.truth.tolist())


@given(st.lists(st.tuples(LOSSES, LOSSES, LOSSES), min_size=0, max_size=3))
def test_nothing_is_kept_without_proof(candidates: list[tuple[list[float], ...]]) -> None:
    """Protects the model: what learns by marks is no part of it unless their gain is clear."""
    known = library()
    add(known, Candidate(0, "bayes", {}), [5.0] * FOLDS)
    for each in candidates:
        compared(known, *each)
    chosen = {known.entries[number].candidate.use for number in compared_results(known)}
    assert chosen <= {BASELINE, known.adopted}
    if not candidates:
        assert known.proof is None
        return
    means = np.mean(candidates, axis=0)
    quantile = stats.t.ppf(0.975, FOLDS - 1)
    for use, losses in zip(USES[1:], means[1:], strict=True):
        gains = means[0] - losses
        error = np.sqrt((1 / FOLDS + 1 / (FOLDS - 1)) * gains.var(ddof=1))
        if gains.mean() - quantile * error < -1e-9:
            assert known.adopted != use


def test_a_clear_gain_is_kept() -> None:
    """Protects the point of it all: what is better on every fold goes into the blend's pool."""
    known = library()
    compared(known, [0.5, 0.52, 0.49, 0.51], [0.3, 0.33, 0.3, 0.31], [0.5, 0.53, 0.48, 0.51])
    assert known.adopted == "drop"
    assert [each.candidate.number for each in known.complete] == [1, 0]
    assert set(compared_results(known)) == {0, 1}


def test_what_learns_from_unproven_candidates_is_as_unproven_as_they() -> None:
    """Protects from marks that come in by the back door of stacking."""
    known = library()
    compared(known, [0.5] * 4, [0.5] * 4, [0.5] * 4)
    base = known.entries[1].candidate
    add(known, Candidate(9, "linear", {}, (base,)), [0.1] * 4)
    assert [each.candidate.number for each in known.complete] == [0]


def test_what_has_begun_to_be_compared_is_completed_however_bad() -> None:
    """Protects the proof: were bad ones given up, the rest would be better by that alone."""
    known = library()
    add(known, Candidate(0, "linear", {}), [0.1] * FOLDS)
    add(known, counterpart(1, 0, "drop"), [9.0])
    assert is_promising(known, known.entries[1])


def test_one_candidate_is_compared_by_all_uses_and_others_follow_what_is_proven() -> None:
    """Protects the budget: the best of families first, more only where something is proven."""
    known, source = library(), Counterparts(problem())
    assert source.suggested(known, 0.4, 9.0) == []
    for number, family in enumerate(("linear", "linear", "bayes", "random_forest")):
        add(known, Candidate(number, family, {}), [0.3 + 0.01 * number] * FOLDS)
    assert source.suggested(known, 0.1, 9.0) == []
    made = source.suggested(known, 0.4, 9.0)
    assert [(each.counterpart, each.use) for each in made] == [
        (number, use) for number in (0, 2, 3) for use in ("drop", "down_weight")
    ]
    for place, each in enumerate(made):
        losses = [0.2, 0.21, 0.19, 0.2] if each.use == "drop" else [0.4] * 4
        add(known, replace(each, number=10 + place), losses)
    assert known.adopted == "drop"
    more = source.suggested(known, 0.6, 9.0)
    assert [(each.counterpart, each.use) for each in more] == [(1, "drop")]


def test_another_attempt_completes_what_was_begun_and_knows_what_is_proven() -> None:
    """Protects searches whose process is killed: nothing is compared twice, or forgotten."""
    before = library()
    add(before, Candidate(0, "linear", {}), [0.5, 0.52, 0.49, 0.51])
    add(before, Candidate(1, "bayes", {}), [0.4] * FOLDS)
    add(before, counterpart(2, 0, "drop"), [0.3, 0.33, 0.3, 0.31])
    after = library()
    earlier = Earlier(FOLDS, before.digest, tuple(before.entries.values()))
    earlier.fill(after, ["linear", "bayes"])
    assert after.proof is None
    made = Counterparts(problem()).suggested(after, 0.4, 9.0)
    assert [(each.counterpart, each.use) for each in made] == [(0, "down_weight")]
    add(after, replace(made[0], number=9), [0.5] * FOLDS)
    assert after.adopted == "drop"


def test_little_time_compares_one_candidate_and_no_marks_none() -> None:
    """Protects small budgets, and searches without a scan."""
    known = library()
    for number, family in enumerate(("linear", "bayes")):
        add(known, Candidate(number, family, {}), [0.3] * FOLDS)
    assert len(Counterparts(problem()).suggested(known, 0.4, 1.0)) == 2
    assert Counterparts(replace(problem(), marks=None)).suggested(known, 0.4, 9.0) == []


@pytest.mark.parametrize(
    ("marked", "probability", "count"), [(True, 0.0, 2), (False, 0.1, 2), (False, 0.0, 0)]
)
def test_marks_without_probabilities_are_tried_too(
    marked: bool, probability: float, count: int
) -> None:
    """A scan of clean data marks the share it was asked for, and finds nothing probable."""
    known, marks = library(), RowMarks(np.full(ROWS, marked), np.full(ROWS, probability, "f4"))
    add(known, Candidate(0, "linear", {}), [0.3] * FOLDS)
    made = Counterparts(replace(problem(), marks=marks)).suggested(known, 0.4, 9.0)
    assert len(made) == count


def test_the_search_gives_what_is_to_be_compared_before_all_else() -> None:
    """Protects the way from the suggestion to a trial."""
    some = problem()
    sources = Sources(some, [FAMILIES["linear"], FAMILIES["naive_bayes"]], 0)
    known = library()
    candidate, origin = sources.next(known)
    add(known, candidate, [0.3] * FOLDS)
    assert sources.has_first(known, 0.5, 9.0)
    made, origin = sources.next(known)
    assert (origin, made.counterpart, made.use) == (OUTLIERS, candidate.number, "drop")
    assert made.configuration == candidate.configuration and made.number != candidate.number


def fitted(some: Problem, folds: int, folder: Path) -> Library:
    """Fits a candidate with all uses on real rows, in this process."""
    splits = fold_splits(some, folds, 0)
    setup = TrialSetup(tuple(splits), metric_for(some.kind, "accuracy"), 0, 1 << 30)
    desk = Desk(some, setup, FAMILIES, TrialFiles(folder))
    known = Library(splits)
    settings = FAMILIES["linear"].space(some).default
    for number, use in enumerate(USES):
        of = None if use == BASELINE else 0
        candidate = Candidate(number, "linear", settings, use=use, counterpart=of)
        known.register(candidate, "test" if of is None else OUTLIERS)
        for fold in range(len(splits)):
            order = Order(10 * number + fold, TrialTask(candidate, fold, 1.0, 60.0))
            result = attempt(desk, order, lambda: 60.0)
            assert result.failure is None, result.message
            known.add(result)
    return known


@pytest.mark.parametrize("folds", [1, 2, 5])
def test_broken_rows_that_a_scan_marks_are_proven_to_harm(folds: int, tmp_path: Path) -> None:
    """Protects the way from marks to a proof, also where folds are few and blocks take their place.

    Broken rows that are judged count as they are, and are got wrong.
    """
    some = problem([place % 10 == 0 for place in range(10 * ROWS)])
    assert some.marks is not None
    bad = some.marks.marked
    values = np.where(bad, 1000.0, some.features["x"].to_numpy())
    truth = ((values > 0) & ~bad).astype(np.int64)
    broken = replace(some, truth=truth, features=pd.DataFrame({"x": values}))
    known = fitted(broken, folds, tmp_path)
    assert known.proof is not None
    assert known.adopted != BASELINE
    keep, *others = known.proof.comparison.results
    assert len(keep.scores) == (folds if folds >= 3 else 10 * folds)
    assert min(each.mean for each in others) > 0.05


def test_counterparts_have_the_same_chance(tmp_path: Path) -> None:
    """Protects the pairs: without weights that matter, both are the same to the last bit."""
    some = problem()
    assert some.marks is not None
    nothing = RowMarks(np.zeros(ROWS, bool), np.zeros(ROWS, np.float32))
    known = fitted(replace(some, marks=nothing), 3, tmp_path)
    assert known.proof is not None
    assert [each.difference for each in known.proof.comparison.results] == [0, 0, 0]
    assert known.adopted == BASELINE
