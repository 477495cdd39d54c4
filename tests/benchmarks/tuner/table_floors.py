"""What anybody tries first on a table, from scikit-learn; see `rivals.table_task`.

Started with `forest` or `boosting` before the path of the task.
"""

import sys
from typing import Any

import pandas as pd
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from tests.benchmarks.tuner.rivals.table_task import TARGET, Task, times_as_numbers

_MOST_LEVELS = 255
"""Of a categorical column, for scikit-learn's gradient boosting."""


def main() -> None:
    """Learns, and predicts."""
    task = Task.asked()
    train, test = times_as_numbers(task.train()), times_as_numbers(task.test())
    truth = train.pop(TARGET)
    for name in train.select_dtypes("category"):
        test[name] = test[name].cat.set_categories(train[name].cat.categories)
    is_forest = sys.argv[1] == "forest"
    model = _forest(task) if is_forest else _boosting(task)
    most = 0 if is_forest else _MOST_LEVELS
    model.fit(_coded(train, most), truth)
    predict = model.predict if task.is_regression else model.predict_proba
    task.answer(predict(_coded(test, most)))


def _forest(task: Task) -> Any:
    make = RandomForestRegressor if task.is_regression else RandomForestClassifier
    return make(500, n_jobs=1, random_state=task.seed)


def _boosting(task: Task) -> Any:
    make = HistGradientBoostingRegressor if task.is_regression else HistGradientBoostingClassifier
    return make(random_state=task.seed)


def _coded(frame: pd.DataFrame, most: int) -> pd.DataFrame:
    """Returns rows with numbers in place of categories of more than so many levels."""
    columns = frame.select_dtypes("category")
    codes = {
        name: values.cat.codes
        for name, values in columns.items()
        if len(values.cat.categories) > most
    }
    return frame.assign(**codes)


if __name__ == "__main__":
    main()
