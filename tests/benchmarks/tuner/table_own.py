"""The tuner on a table; see `rivals.table_task`."""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from services.tuner.domain.portfolio.shipped import shipped_sets
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.reading import problem_from_frame
from services.tuner.domain.reading_columns import read_column
from services.tuner.domain.search.library import Library
from services.tuner.domain.search.tuning import Settings, tune
from services.tuner.domain.trials.hosting import prepare_host
from services.tuner.domain.trials.trial import TrialResult
from tests.benchmarks.tuner.rivals.table_task import TARGET, Task


@dataclass
class Counter:
    """Counts trials.

    Attributes:
        first: When the first one ended with a score; 0 for not yet.
        trials: How many ended.
        scored: How many of these with a score.
    """

    first: float = 0.0
    trials: int = 0
    scored: int = 0

    def watch(self, library: Library, result: TrialResult) -> None:
        """Counts a trial."""
        self.trials += 1
        if result.failure is None:
            self.scored += 1
            self.first = self.first or time.monotonic()


def main() -> None:
    """Learns, and predicts."""
    prepare_host()  # as a run of the service does
    task = Task.asked()
    train, test = task.train(), task.test()
    problem = problem_from_frame(train, TARGET, ProblemKind(task.kind))
    counter = Counter()
    with TemporaryDirectory() as folder:
        # As of a run of the service, the budget begins when it is asked for.
        left = task.seconds - (time.monotonic() - task.started)
        # What ships is made from some of these tables: none is known to itself.
        known = [each for each in shipped_sets() if each.source != task.name]
        settings = Settings(seconds=left, seed=task.seed, known=known, rows_to_predict=len(test))
        tuned = tune(problem, settings, Path(folder), counter.watch)
        features = _features(problem, test)
        is_regression = problem.kind is ProblemKind.REGRESSION
        predict = tuned.estimator.predict if is_regression else tuned.estimator.predict_proba
        outputs = predict(features)
    task.answer(
        outputs,
        trials=counter.trials,
        scored=counter.scored,
        first=counter.first - task.started,
    )


def _features(problem: Problem, frame: pd.DataFrame) -> pd.DataFrame:
    """Returns rows with columns of the types of a problem's."""
    read = {
        each.name: read_column(each.name, frame[each.name], each.type).values
        for each in problem.columns
    }
    return pd.DataFrame({name: pd.Series(each, dtype=each.dtype) for name, each in read.items()})


if __name__ == "__main__":
    main()
