"""AutoGluon's `best_quality` on a table; see `table_task`. Runs in an environment of its own."""

import importlib
from pathlib import Path
from typing import Any

from tests.benchmarks.tuner.rivals.table_task import TARGET, Task

tabular: Any = importlib.import_module("autogluon.tabular")

_METRICS = {
    "binary": "roc_auc",
    "multiclass": "log_loss",
    "regression": "root_mean_squared_error",
}


def main() -> None:
    """Learns, and predicts."""
    task = Task.asked()
    train, test = task.train(), task.test()
    found = tabular.TabularPredictor(
        label=TARGET,
        problem_type=task.kind,
        eval_metric=_METRICS[task.kind],
        path=str(Path(task.folder) / "models"),
    )
    found.fit(train, presets="best_quality", time_limit=task.seconds, num_cpus=1)
    if task.is_regression:
        task.answer(found.predict(test))
        return
    classes = sorted(train[TARGET].unique())
    task.answer(found.predict_proba(test).reindex(columns=classes, fill_value=0.0))


if __name__ == "__main__":
    main()
