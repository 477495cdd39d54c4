"""FLAML on texts rated by TF-IDF; see `table_task`. Runs in an environment of its own."""

import importlib
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer

from tests.benchmarks.tuner.rivals.table_task import TARGET, Task

flaml: Any = importlib.import_module("flaml")

_METRICS = {"binary": "roc_auc", "multiclass": "log_loss"}


def main() -> None:
    """Learns, and predicts."""
    task = Task.asked()
    train, test = task.train(), task.test()
    [text] = test.columns
    terms = TfidfVectorizer()
    found = flaml.AutoML()
    found.fit(
        terms.fit_transform(train[text]),
        train[TARGET].to_numpy(),
        task="classification",
        metric=_METRICS[task.kind],
        time_budget=task.seconds,
        n_jobs=1,
        seed=task.seed,
        verbose=0,
    )
    task.answer(found.predict_proba(terms.transform(test[text])))


if __name__ == "__main__":
    main()
