"""The tables that contenders are measured on: the manifest, the split and the losses.

`make bench NAME=tuner DATA=folder` says where they are; by default beside the repository.
"""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error

from tests.benchmarks.harness import data_folder
from tests.benchmarks.tuner.rivals.table_task import TARGET

_KINDS = ("binary", "multiclass", "regression")
_TRAIN_SHARE = 0.67
_METRICS = {"binary": "AUC", "multiclass": "log loss", "regression": "RMSE"}

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class TableSet:
    """A table with a target.

    Attributes:
        name: Unique.
        kind: `binary`, `multiclass` or `regression`.
        path: Its Parquet file.
    """

    name: str
    kind: str
    path: Path

    @property
    def metric(self) -> str:
        """What it is measured by."""
        return _METRICS[self.kind]

    def digest(self) -> str:
        """Returns what changes when the file does."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]

    def lay_out(self, folder: Path, seed: int) -> Values:
        """Writes the rows to learn from and those to predict, and returns the truth of these.

        Args:
            folder: Exists.
            seed: Of the split.
        """
        # Without what pandas adds, every version of it reads the same.
        table = pq.read_table(self.path).replace_schema_metadata(None)
        found = np.asarray(table[TARGET].to_pandas())
        truth = found if self.kind == "regression" else np.unique(found, return_inverse=True)[1]
        train = self._split(truth, seed)
        features = table.drop_columns([TARGET])
        learned = features.append_column(TARGET, pa.array(truth))
        pq.write_table(learned.filter(pa.array(train)), folder / "train.parquet")
        pq.write_table(features.filter(pa.array(~train)), folder / "test.parquet")
        return truth[~train]

    def loss(self, truth: Values, outputs: Values) -> float:
        """Returns 1 - AUC, log loss or RMSE of outputs (rows, outputs)."""
        if self.kind == "binary":
            return 1 - float(roc_auc_score(truth, outputs[:, 1]))
        if self.kind == "multiclass":
            # Probabilities of single precision do not add up to one exactly.
            shares = outputs / outputs.sum(axis=1, keepdims=True)
            return float(log_loss(truth, shares, labels=range(outputs.shape[1])))
        return float(root_mean_squared_error(truth, outputs[:, 0]))

    def shown(self, loss: float) -> float:
        """Returns what people know by the metric's name."""
        return 1 - loss if self.kind == "binary" else loss

    def _split(self, truth: Values, seed: int) -> npt.NDArray[np.bool_]:
        """Returns which rows are learned from, as the data's README has it."""
        generator, train = np.random.RandomState(seed), np.zeros(len(truth), bool)
        groups = np.zeros(len(truth), np.int64) if self.kind == "regression" else truth
        for group in np.unique(groups):
            rows = np.flatnonzero(groups == group)
            train[generator.permutation(rows)[: max(1, round(_TRAIN_SHARE * len(rows)))]] = True
        return train


def folder_of_sets() -> Path:
    """Returns where the sets and their manifest are."""
    return data_folder("tuner")


def table_sets(names: Sequence[str] = ()) -> list[TableSet]:
    """Returns as many tables as there are names: these, or others in place of those not there.

    Without names all are returned.
    """
    folder = folder_of_sets()
    with (folder / "manifest.csv").open(newline="") as file:
        found = {
            row["name"]: TableSet(row["name"], row["task"], folder / f"{row['name']}.parquet")
            for row in csv.DictReader(file)
            if row["task"] in _KINDS
        }
    chosen = [*(name for name in names if name in found), *(n for n in found if n not in names)]
    return [found[name] for name in chosen[: len(names) or None]]
