"""`make portfolio`: goes on where it was interrupted, judges by other sets, sees no test rows."""

import csv
import math
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest

from deploy.portfolio import measuring
from deploy.portfolio.leaving_out import SECONDS, left_out, summary, write
from deploy.portfolio.measuring import PARTS, Bounds, Measured, RawResults, measure
from deploy.portfolio.pool import Known, pool_of
from deploy.portfolio.sets import development_sets
from deploy.portfolio.shipping import known_sets
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.trials.attempt import failed
from services.tuner.domain.trials.trial import TrialFailure, TrialResult, TrialTask

ROWS = 90
POOL: list[Known] = [
    ("light_boosting", {}),
    ("naive_bayes", {}),
    ("decision_tree", {}),
    ("linear", {"C": 0.5}),
    ("gaussian_process", {}),
]


class FakeHost:
    """Trials take no time: each knows half of the truth, and naive Bayes nothing at all."""

    tasks: list[TrialTask]

    def __init__(
        self, problem: Problem, splits: Any, metric: Any, *more: Any, **options: Any
    ) -> None:
        self._problem, self._splits, self._metric = problem, splits, metric

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends nothing."""

    def start(self, task: TrialTask) -> None:
        """Remembers a trial."""
        self.tasks.append(task)

    def wait(self, timeout: float) -> TrialResult:
        """Returns what it gave."""
        task = self.tasks[-1]
        if task.candidate.family == "naive_bayes":
            return failed(task, TrialFailure.RAISED, "no")
        truth = self._problem.truth[self._splits[task.fold].judged]
        chance = np.random.default_rng(task.candidate.number).random(len(truth))
        above = np.where(chance < 0.5, truth, chance)
        outputs = np.column_stack([1 - above, above])
        loss = self._metric.loss(truth, outputs)
        return TrialResult(task, loss, outputs, {}, 1.0, 0.5, 0, 0, "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sets of classes."""
    lines = [["name", "task", "source", "licence"]]
    for place, name in enumerate(("one", "two", "series")):
        values = np.random.default_rng(place).normal(size=(ROWS, 3))
        frame = pd.DataFrame(values, columns=["a", "b", "c"])
        frame["target"] = np.where(frame["a"] > 0, "yes", "no")
        frame.to_parquet(tmp_path / f"{name}.parquet")
        lines.append([name, "forecast" if name == "series" else "binary", "here", "CC0"])
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return tmp_path


@pytest.fixture
def problems(folder: Path) -> dict[str, Problem]:
    """Those of the sets."""
    return {each.name: each.problem(50) for each in development_sets(folder)}


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeHost.tasks = []
    monkeypatch.setattr(measuring, "TrialHost", FakeHost)


def bounds(seconds: float = 60.0) -> Bounds:
    """Returns bounds that end after some seconds."""
    return Bounds(1.0, time.monotonic() + seconds)


def test_tables_are_learned_from_their_training_rows_alone(
    folder: Path, problems: dict[str, Problem]
) -> None:
    assert list(problems) == ["one", "two"]
    whole = pd.read_parquet(folder / "one.parquet")
    truth = np.unique(whole["target"], return_inverse=True)[1]
    generator, train = np.random.RandomState(0), np.zeros(ROWS, bool)
    for group in (0, 1):
        rows = np.flatnonzero(truth == group)
        train[generator.permutation(rows)[: round(0.67 * len(rows))]] = True
    assert set(problems["one"].features["a"]) <= set(whole["a"][train])
    assert problems["one"].kind is ProblemKind.BINARY
    assert abs(problems["one"].row_count - 50) <= 1


def test_the_pool_begins_with_what_is_usual_and_fits_any_problem(
    problems: dict[str, Problem],
) -> None:
    pool = pool_of(list(problems.values()))
    assert pool[0] == ("light_boosting", {})
    assert {name for name, _ in pool} == set(FAMILIES)
    assert len(pool) > 40 and all(pool.count(each) == 1 for each in pool)
    assert pool == pool_of(list(problems.values()))


def test_what_was_measured_is_not_measured_again(
    tmp_path: Path, problems: dict[str, Problem]
) -> None:
    path = tmp_path / "raw.jsonl"
    measure("one", problems["one"], POOL[:2], 0, RawResults(path), bounds())
    with path.open("a") as file:
        file.write('{"name": "one", "fam')  # It was killed while it wrote.
    results = RawResults(path)
    measure("one", problems["one"], POOL, 0, results, bounds())
    measure("one", problems["one"], POOL, 0, results, bounds())
    families = [each.candidate.family for each in FakeHost.tasks]
    assert families == ["light_boosting", "naive_bayes", "decision_tree", "linear"]
    assert len(RawResults(path).known) >= 3


def test_it_ends_when_the_time_is_over(tmp_path: Path, problems: dict[str, Problem]) -> None:
    measure("one", problems["one"], POOL, 0, RawResults(tmp_path / "raw.jsonl"), bounds(0.0))
    assert not FakeHost.tasks


def test_what_ships_and_how_good_it_is(tmp_path: Path, problems: dict[str, Problem]) -> None:
    results = RawResults(tmp_path / "raw.jsonl")
    for fold in range(2):
        for name, problem in problems.items():
            measure(name, problem, POOL, fold, results, bounds())
    known = known_sets(problems, results.known.values())
    assert [each.source for each in known] == ["one", "two"]
    regret = {each.family: each.regret for each in known[0].scores}
    assert regret["naive_bayes"] == 1.0
    assert min(regret.values()) < 0.5
    compared = list(left_out(problems, known, results))
    assert len(compared) == len(SECONDS) * len(problems)
    assert all(math.isfinite(each.ratio) for each in compared)
    write(compared, tmp_path / "left_out.csv")
    assert len((tmp_path / "left_out.csv").read_text().splitlines()) == len(compared) + 1
    assert len(summary(compared).splitlines()) == len(SECONDS) + 3


def test_scores_are_means_over_the_parts(problems: dict[str, Problem]) -> None:
    results = [
        Measured("one", "linear", {}, 0, 0.1, 1.0),
        Measured("one", "linear", {"C": 1}, 0, 0.2, 1.0),
        Measured("one", "linear", {}, 1, 0.1, 3.0),
        Measured("one", "linear", {"C": 1}, 1, 0.1, 3.0),
    ]
    [known] = known_sets(problems, results)
    assert [(each.regret, each.seconds) for each in known.scores] == [(0.0, 2.0), (0.5, 2.0)]
    assert PARTS >= 2
