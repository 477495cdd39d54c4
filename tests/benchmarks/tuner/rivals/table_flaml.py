"""FLAML on a table; see `table_task`. Runs in an environment of its own."""

import importlib
from typing import Any

from tests.benchmarks.tuner.rivals.table_task import TARGET, Task

flaml: Any = importlib.import_module("flaml")

_METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def main() -> None:
    """Learns, and predicts."""
    task = Task.asked()
    train, test = task.train(), task.test()
    found = flaml.AutoML()
    found.fit(
        train.drop(columns=TARGET),
        train[TARGET],
        task=task.kind,
        metric=_METRICS[task.kind],
        time_budget=task.seconds,
        n_jobs=1,
        seed=task.seed,
        verbose=0,
    )
    task.answer(found.predict(test) if task.is_regression else found.predict_proba(test))


if __name__ == "__main__":
    main()
