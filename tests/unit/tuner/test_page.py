"""The page of a search: what people read of it, whatever the problem and however it went."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from common.data.schema import Column, ColumnType
from common.models.estimators.blending import BlendedRegressor
from common.models.estimators.combining import Mean
from common.reports.report import Notice, Severity
from common.scoring.kinds import TABLE_KINDS
from common.scoring.registry import metric_for
from services.tuner.domain.ensemble.selection import Considered, Ensemble
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.history import History
from services.tuner.domain.page.evidence import gathered
from services.tuner.domain.page.tuning_page import Facts, tuning_page
from services.tuner.domain.page.verdict import notices, tiles, verdict
from services.tuner.domain.page.words import bytes_words, percent, score_words, seconds_words
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.search.library import FLOOR, PORTFOLIO, STACKING, SURROGATE, Library
from services.tuner.domain.search.tuning import Settings, Tuned
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.trials.trial import (
    Candidate,
    Split,
    TrialFailure,
    TrialResult,
    TrialTask,
)

ROWS, FOLDS = 240, 4
OUTPUTS: Mapping[ProblemKind, tuple[str, ...]] = {
    ProblemKind.BINARY: ("no", "yes"),
    ProblemKind.MULTICLASS: ("red", "<b>green</b>", "blue"),
    ProblemKind.MULTI_LABEL: ("sun", "rain"),
    ProblemKind.REGRESSION: ("price",),
}
FACTS = Facts(
    "Search <script>x</script>",
    Settings(seconds=60),
    "price",
    [("Data", "datasets/houses/versions/3")],
)


class Made:
    """A search that did not run: candidates whose outputs are the truth with some noise."""

    def __init__(self, kind: ProblemKind, metric: str = "") -> None:
        generator = self._generator = np.random.default_rng(0)
        features = pd.DataFrame(generator.normal(size=(ROWS, 2)), columns=["area", "age"])
        columns = tuple(Column(name, ColumnType.NUMERIC) for name in features)
        self.kind, names = kind, OUTPUTS[kind]
        if kind.has_classes:
            self.truth = generator.integers(0, len(names), ROWS)
        elif kind is ProblemKind.MULTI_LABEL:
            self.truth = generator.integers(0, 2, (ROWS, len(names))).astype(np.int8)
        else:
            self.truth = features["area"].to_numpy() * 10
        self.problem = Problem(kind, columns, features, self.truth, names)
        folds = np.arange(ROWS) % FOLDS
        splits = [
            Split(np.flatnonzero(folds != each), np.flatnonzero(folds == each))
            for each in range(FOLDS)
        ]
        self.metric = metric_for(kind, metric)
        self.library = Library(splits)
        self.now = 0.0
        self.history = History(clock=lambda: self.now)

    def add(
        self,
        family: str,
        noise: float,
        origin: str = PORTFOLIO,
        folds: int = FOLDS,
        some: Configuration | None = None,
        failure: TrialFailure | None = None,
        bases: tuple[int, ...] = (),
    ) -> int:
        """Adds a candidate, a second for each of its folds, and returns its number."""
        number = len(self.library.entries)
        configuration = FAMILIES[family].space(self.problem).completed(some or {})
        entries = self.library.entries
        taught = tuple(entries[base].candidate for base in bases)
        candidate = Candidate(number, family, configuration, taught)
        self.library.register(candidate, origin)
        for fold in range(folds):
            self._tell(self._result(TrialTask(candidate, fold, 1.0, 5.0), noise))
        if failure is not None:
            task = TrialTask(candidate, folds, 1.0, 5.0)
            why = "ValueError: <i>bad</i>"
            inf = float("inf")
            self._tell(
                TrialResult(task, inf, None, {}, 1.0, 0.0, 0, 0, "", failure=failure, message=why)
            )
        return number

    def tuned(self, weights: Mapping[int, float], loss: float, error: float = 0.01) -> Tuned:
        """Returns what a search with these weights gives; its estimator is not asked."""
        considered = (Considered("joint", loss, 0.0), Considered("best", loss + 0.02, 0.01))
        ensemble = Ensemble("joint", weights, Mean.PLAIN, None, None, loss, error, considered)
        return Tuned(self.problem, BlendedRegressor(), self.metric, ensemble, self.library)

    def usual(self) -> Tuned:
        """Returns a search as they usually are: floors, others, some failed or stopped early."""
        self.add("random_forest", 0.9, FLOOR)
        self.add("hist_boosting", 1.0, FLOOR)
        best = self.add("linear", 0.5)
        other = self.add("light_boosting", 0.6, SURROGATE, some={"learning_rate": 0.2})
        self.add("nearest_neighbours", 2.0, folds=1)
        self.add("extra_trees", 0.8, folds=1, failure=TrialFailure.RAISED)
        self.now += 3
        self.history.end()
        loss = min(each.loss(FOLDS) for each in self.library.complete)
        return self.tuned({best: 0.75, other: 0.25}, 0.9 * loss)

    def page(self, tuned: Tuned, facts: Facts = FACTS) -> str:
        """Returns the page."""
        return tuning_page(tuned, self.history, self.problem, facts)

    def _tell(self, result: TrialResult) -> None:
        self.now += 1
        self.library.add(result)
        self.history.watch(self.library, result)

    def _result(self, task: TrialTask, noise: float) -> TrialResult:
        judged = self.library.splits[task.fold].judged
        truth = self.truth[judged]
        outputs = self._outputs(truth, noise)
        loss = self.metric.loss(truth, outputs)
        return TrialResult(task, loss, outputs, {}, 0.5, 0.1, 1_000_000, 2_000, "kept")

    def _outputs(self, truth: np.ndarray, noise: float) -> np.ndarray:
        if self.kind is ProblemKind.REGRESSION:
            return (truth + noise * self._generator.normal(size=len(truth)))[:, None]
        if self.kind is ProblemKind.MULTI_LABEL:
            scores = 2.0 * truth - 1 + noise * self._generator.normal(size=truth.shape)
            return np.asarray(1 / (1 + np.exp(-scores)))
        count = len(OUTPUTS[self.kind])
        scores = np.eye(count)[truth] + noise * self._generator.normal(size=(len(truth), count))
        raised = np.exp(2 * scores)
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def text_of(page: str) -> str:
    """Returns what readers see of a page, roughly."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", bare).split())


@pytest.mark.parametrize("kind", TABLE_KINDS)
def test_each_kind_of_problem_has_a_whole_page(kind: ProblemKind) -> None:
    """All sections are there, none failed, nothing is loaded, and the size is within bounds."""
    made = Made(kind)
    page = made.page(made.usual())
    text = text_of(page)
    for title in (
        "Score over time",
        "What the model is made of",
        "How well it predicts",
        "Leaderboard",
        "Which choices mattered",
        "Where the time went",
        "Lineage",
    ):
        assert title in text
    assert "cannot be shown" not in text
    assert "datasets/houses/versions/3" in text
    assert len(page.encode()) < 3_000_000
    assert not re.search(r'(src|href)="(?!#|data:)', page)


def test_texts_of_others_are_shown_as_they_are() -> None:
    """Titles, labels and messages of errors never become tags."""
    made = Made(ProblemKind.MULTICLASS)
    page = made.page(made.usual())
    for bad in ("<script>x</script>", "<b>green</b>", "<i>bad</i>"):
        assert bad not in page


def test_the_verdict_compares_with_what_anybody_would_try() -> None:
    made = Made(ProblemKind.REGRESSION)
    evidence = gathered(made.problem, made.usual(), made.history, FACTS)
    first, second = verdict(evidence)
    assert "clearly better than what anybody would try first" in first
    assert "the best of these, a random forest, has 0.8" in first
    assert "nine of ten" in first
    assert "averages 2 of them" in second
    shown = tiles(evidence)
    assert shown["Parts of the model"] == "2 models, 8 fits"
    assert shown["Models tried"] == 6
    assert not notices(evidence)


def test_a_gain_that_may_be_chance_is_named_one() -> None:
    made = Made(ProblemKind.BINARY)
    floor = made.add("random_forest", 0.9, FLOOR)
    other = made.add("linear", 0.9)
    loss = made.library.entries[floor].loss(FOLDS)
    tuned = made.tuned({other: 1.0}, loss - 1e-4)
    evidence = gathered(made.problem, tuned, made.history, FACTS)
    assert "about as good as" in verdict(evidence)[0]
    assert [each.severity for each in notices(evidence)] == [Severity.NOTE]


def test_a_floor_is_not_compared_with_itself() -> None:
    made = Made(ProblemKind.BINARY)
    floor = made.add("random_forest", 0.9, FLOOR)
    made.add("linear", 0.9)
    tuned = made.tuned({floor: 1.0}, made.library.entries[floor].loss(FOLDS))
    [notice] = notices(gathered(made.problem, tuned, made.history, FACTS))
    assert notice.title == "Nothing better than a usual model was found"
    assert notice.text == "The model is a random forest itself."


def test_without_a_floor_readers_are_warned() -> None:
    """A floor that was not completed is said to be none, not to be perfect."""
    made = Made(ProblemKind.BINARY)
    made.add("random_forest", 0.9, FLOOR, folds=1, failure=TrialFailure.OUT_OF_TIME)
    best = made.add("linear", 0.5)
    tuned = made.tuned({best: 1.0}, 0.1)
    evidence = gathered(made.problem, tuned, made.history, FACTS)
    assert tiles(evidence)["Random forest"] == "not completed"
    assert notices(evidence)[0].severity is Severity.WARNING
    assert "ran out of time" in text_of(made.page(tuned))


def test_what_readers_should_know_of_the_data_comes_first() -> None:
    made = Made(ProblemKind.BINARY)
    leak = Notice(Severity.PROBLEM, "A column tells the target", "It is id.")
    facts = replace(FACTS, notices=[leak], note="The search was cancelled.")
    found = notices(gathered(made.problem, made.usual(), made.history, facts))
    assert found[0] is leak
    assert found[1].text == "The search was cancelled."


def test_the_score_of_test_rows_is_told() -> None:
    made = Made(ProblemKind.BINARY)
    facts = replace(FACTS, test_score=0.8123)
    evidence = gathered(made.problem, made.usual(), made.history, facts)
    assert "put aside from the start, it has 0.8123" in verdict(evidence)[0]
    assert tiles(evidence)["On test rows"] == 0.8123


def test_one_candidate_without_a_history_is_enough() -> None:
    """As after a cancelled run: one model on one fold, nothing noted."""
    made = Made(ProblemKind.REGRESSION)
    best = made.add("linear", 0.5, FLOOR, folds=1)
    made.history = History()
    text = text_of(made.page(made.tuned({best: 1.0}, 0.5, float("inf"))))
    assert "It was not noted when" in text
    assert "The one model is a single fit." in text
    assert "cannot be shown" not in text


def test_a_second_level_tells_what_it_learns_from() -> None:
    made = Made(ProblemKind.BINARY)
    base = made.add("random_forest", 0.9, FLOOR)
    top = made.add("linear", 0.4, STACKING, bases=(base,))
    text = text_of(made.page(made.tuned({top: 1.0}, 0.05)))
    assert "learns from the outputs of the model 0" in text
    assert "cannot be shown" not in text


def test_families_that_were_not_tried_have_their_reason() -> None:
    made = Made(ProblemKind.BINARY)
    facts = replace(FACTS, settings=Settings(seconds=60, families=("linear", "random_forest")))
    text = text_of(made.page(made.usual(), facts))
    assert "gaussian process It learns other kinds." in text
    assert "perceptron The search was not to try it." in text


def test_a_broken_section_leaves_the_others_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr("services.tuner.domain.page.tuning_page.leaderboard", broken)
    made = Made(ProblemKind.BINARY)
    text = text_of(made.page(made.usual()))
    assert "This cannot be shown: RuntimeError: no such thing" in text
    assert "Lineage" in text


def test_numbers_are_rounded_as_their_errors_tell() -> None:
    metric = metric_for(ProblemKind.REGRESSION)
    assert score_words(metric, 2.88562, 0.1763) == "2.89 ± 0.18"
    assert score_words(metric, 28_856.2, 1_763.0) == "28,856 ± 1,763"
    assert score_words(metric, 2.88562, float("inf")) == "2.886"


@pytest.mark.parametrize(
    ("words", "value", "expected"),
    [
        (seconds_words, 28.44, "28.4 s"),
        (seconds_words, 600.0, "10 min"),
        (seconds_words, 86_400.0, "24.0 h"),
        (bytes_words, 999, "999 bytes"),
        (bytes_words, 2_150_000_000, "2.15 GB"),
        (percent, 0.824, "82.4 %"),
        (percent, 0.9991, "99.9 %"),
    ],
)
def test_words(words: Callable[[float], str], value: float, expected: str) -> None:
    assert words(value) == expected
