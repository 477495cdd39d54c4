"""How good the tuner's quantiles are, against gradient boosting that learns quantiles by default.

Part of `make bench NAME=tuner`; alone it is `python -m tests.benchmarks.tuner.quantiles`. Started
with the name of a contender and the path of a task it learns; see `rivals.table_task`.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from lightgbm import LGBMRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_pinball_loss

from common.host.single_threaded import SINGLE_THREADED
from services.tuner.domain.portfolio.shipped import shipped_sets
from services.tuner.domain.problem import ProblemKind
from services.tuner.domain.reading import problem_from_frame
from services.tuner.domain.reading_columns import read_column
from services.tuner.domain.search.tuning import Settings, tune
from services.tuner.domain.trials.hosting import prepare_host
from tests.benchmarks.harness import Aim, Measure, is_quick, publish, repeats, say
from tests.benchmarks.tuner.rivals.table_task import TARGET, Task
from tests.benchmarks.tuner.table_rivals import Contender, Runner
from tests.benchmarks.tuner.table_running import Outcome
from tests.benchmarks.tuner.table_sets import TableSet, Values, table_sets

NOTES = (
    "Quantiles: 67 % of the rows (of diamonds: of 5,000) are learned, the others predicted, on one "
    "core, 30 s for ours. Losses are pinball losses at 0.9; rivals have their defaults.",
)
_LEVEL = 0.9
_SECONDS, _QUICK_SECONDS = 30, 8
_SETS = ("abalone", "boston", "diamonds")
_MOST_ROWS = 5_000
_HERE = "tests.benchmarks.tuner.quantiles"
_OURS = Contender("ours", (_HERE, "ours"), variables=SINGLE_THREADED)
_RIVALS = (
    Contender("HistGradientBoosting", (_HERE, "histograms"), has_budget=False),
    Contender("LightGBM", (_HERE, "lightgbm"), has_budget=False, variables=SINGLE_THREADED),
)


@dataclass(frozen=True)
class QuantileSet(TableSet):
    """A table of which a quantile is wanted."""

    @property
    def metric(self) -> str:
        """See `TableSet.metric`."""
        return f"pinball loss at {_LEVEL:g}"

    def loss(self, truth: Values, outputs: Values) -> float:
        """Returns the pinball loss of outputs (rows, 1)."""
        return float(mean_pinball_loss(truth, outputs[:, 0], alpha=_LEVEL))


def quantiles() -> list[Measure]:
    """Measures ours against each on each set."""
    seconds = _QUICK_SECONDS if is_quick() else _SECONDS
    say(f"Quantiles at {seconds} s")
    runner = Runner()
    with TemporaryDirectory() as folder:
        return [
            measure
            for table in table_sets(_SETS)
            for seed in range(repeats(1))
            for measure in _measured(runner, _sampled(table, Path(folder)), seed, seconds)
        ]


def _sampled(table: TableSet, folder: Path) -> QuantileSet:
    """Returns a table with some of its rows, which are written to a folder."""
    rows = pq.read_table(table.path)
    chosen = np.sort(np.random.default_rng(0).permutation(rows.num_rows)[:_MOST_ROWS])
    path = folder / table.path.name
    pq.write_table(rows.take(chosen), path)
    return QuantileSet(table.name, table.kind, path)


def _measured(runner: Runner, table: TableSet, seed: int, seconds: float) -> list[Measure]:
    own = runner.outcome(_OURS, table, seed, seconds)
    measures = []
    for rival in _RIVALS:
        theirs = runner.outcome(rival, table, seed, seconds)
        say(f"  {table.name}: ours {_shown(own)}, {rival.name} {_shown(theirs)}")
        name = f"{table.name}, {table.metric}, {rival.name}"
        measures.append(Measure.of(name, own.loss, theirs.loss, Aim(ratio=1.0)))
    return measures


def _shown(outcome: Outcome) -> str:
    return outcome.failure or f"{outcome.loss:.5g} in {outcome.seconds:.0f} s"


def _learn(contender: str) -> None:
    """Learns, and predicts."""
    if contender == "ours":
        prepare_host()  # as a run of the service does
    task = Task.asked()
    train, test = task.train(), task.test()
    task.answer(_CONTENDERS[contender](task, train, test))


def _ours(task: Task, train: pd.DataFrame, test: pd.DataFrame) -> Any:
    problem = problem_from_frame(train, TARGET, ProblemKind(task.kind))
    # What ships is made from some of these tables: none is known to itself.
    known = [each for each in shipped_sets() if each.source != task.name]
    read = {
        each.name: pd.Series(read_column(each.name, test[each.name], each.type).values)
        for each in problem.columns
    }
    with TemporaryDirectory() as folder:
        left = task.seconds - (time.monotonic() - task.started)
        settings = Settings(left, f"pinball_{_LEVEL:g}", seed=task.seed, known=known)
        return tune(problem, settings, Path(folder)).estimator.predict(pd.DataFrame(read))


def _histograms(task: Task, train: pd.DataFrame, test: pd.DataFrame) -> Any:
    model = HistGradientBoostingRegressor(loss="quantile", quantile=_LEVEL, random_state=task.seed)
    return _predicted(model, train, test)


def _lightgbm(task: Task, train: pd.DataFrame, test: pd.DataFrame) -> Any:
    model = LGBMRegressor(
        objective="quantile", alpha=_LEVEL, random_state=task.seed, n_jobs=1, verbosity=-1
    )
    return _predicted(model, train, test)


def _predicted(model: Any, train: pd.DataFrame, test: pd.DataFrame) -> Any:
    truth = train.pop(TARGET)
    for name in train.select_dtypes("category"):
        test[name] = test[name].cat.set_categories(train[name].cat.categories)
    return model.fit(train, truth).predict(test)


_CONTENDERS: dict[str, Callable[[Task, pd.DataFrame, pd.DataFrame], Any]] = {
    "ours": _ours,
    "histograms": _histograms,
    "lightgbm": _lightgbm,
}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _learn(sys.argv[1])
    else:
        publish("tuner-quantiles", quantiles(), NOTES)
