"""What contenders on tables are asked and how they answer; runs in the environment of each.

A contender is started with the path of a task; beside it lie `train.parquet` and `test.parquet`.
It leaves `outputs.npy` and `answer.json` there.
"""

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

TARGET = "target"


@dataclass(frozen=True)
class Task:
    """What is asked.

    Attributes:
        kind: `binary`, `multiclass` or `regression`.
        seconds: The budget.
        seed: Of all chance.
        started: When the process was started, on the clock that does not go back.
        folder: Where the rows are and the answer goes.
        name: Of the table.
        begun: When everything was imported.
    """

    kind: str
    seconds: float
    seed: int
    started: float
    folder: str
    name: str = ""
    begun: float = field(default_factory=time.monotonic)

    @classmethod
    def asked(cls) -> "Task":
        """Returns the task that the process was started with."""
        return cls(**json.loads(Path(sys.argv[-1]).read_text()))

    @property
    def is_regression(self) -> bool:
        """Whether values are predicted, not classes."""
        return self.kind == "regression"

    def train(self) -> pd.DataFrame:
        """Returns the rows to learn from; classes are numbers from 0."""
        return self._read("train")

    def test(self) -> pd.DataFrame:
        """Returns the rows to predict, without target."""
        return self._read("test")

    def answer(self, outputs: Any, **told: float) -> None:
        """Hands in probabilities (rows, classes) or values (rows).

        Args:
            outputs: Of the rows to predict, in order.
            told: What else there is to say, as numbers.
        """
        found = np.asarray(outputs, np.float64)
        times = {"ready": time.monotonic(), "begun": self.begun}
        np.save(Path(self.folder) / "outputs.npy", found.reshape(len(found), -1))
        (Path(self.folder) / "answer.json").write_text(json.dumps({**told, **times}))

    def _read(self, name: str) -> pd.DataFrame:
        return pq.read_table(Path(self.folder) / f"{name}.parquet").to_pandas()


def times_as_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns rows with seconds since 1970 in place of times, for whom does not take these."""
    times = frame.select_dtypes("datetime").columns
    seconds = {name: (frame[name] - pd.Timestamp(0)).dt.total_seconds() for name in times}
    return frame.assign(**seconds)
