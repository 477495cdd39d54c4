"""auto-sklearn on a table; see `table_task`. Runs in an environment of its own, of Python 3.9."""

import importlib
from typing import Any

from tests.benchmarks.tuner.rivals.table_task import TARGET, Task, times_as_numbers

classification: Any = importlib.import_module("autosklearn.classification")
metrics: Any = importlib.import_module("autosklearn.metrics")
regression: Any = importlib.import_module("autosklearn.regression")

_METRICS = {
    "binary": metrics.roc_auc,
    "multiclass": metrics.log_loss,
    "regression": metrics.root_mean_squared_error,
}
_LEAST_SECONDS = 30
"""It takes no smaller budget."""


def main() -> None:
    """Learns, and predicts."""
    task = Task.asked()
    train, test = times_as_numbers(task.train()), times_as_numbers(task.test())
    make = (
        regression.AutoSklearnRegressor
        if task.is_regression
        else classification.AutoSklearnClassifier
    )
    found = make(
        time_left_for_this_task=max(int(task.seconds), _LEAST_SECONDS),
        metric=_METRICS[task.kind],
        n_jobs=1,
        seed=task.seed,
    )
    found.fit(train.drop(columns=TARGET), train[TARGET])
    outputs = found.predict(test) if task.is_regression else found.predict_proba(test)
    ends = list(found.cv_results_["status"])
    task.answer(outputs, trials=len(ends), scored=ends.count("Success"))


if __name__ == "__main__":
    main()
