"""The data sets that the portfolio is made from."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from common.data.schema import ColumnType
from services.tuner.domain.folds import thinned
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.reading import problem_from_frame

_TARGET = "target"
_KINDS = {
    "binary": ProblemKind.BINARY,
    "multiclass": ProblemKind.MULTICLASS,
    "multilabel": ProblemKind.MULTI_LABEL,
    "regression": ProblemKind.REGRESSION,
    "text_binary": ProblemKind.BINARY,
    "text_multiclass": ProblemKind.MULTICLASS,
}
_TRAIN_SHARE = 0.67
_SEED = 0


@dataclass(frozen=True)
class DevelopmentSet:
    """A data set with a target.

    Attributes:
        name: Unique.
        kind: What is to be learned.
        path: Its Parquet file.
        has_text: Whether its column is a text.
        source: Where it comes from, and under which licence.
    """

    name: str
    kind: ProblemKind
    path: Path
    has_text: bool
    source: str

    def problem(self, most_rows: int) -> Problem:
        """Returns some of the rows that benchmarks learn from; those they judge by are not seen.

        Args:
            most_rows: There are no more.
        """
        frame = pd.read_parquet(self.path)
        targets = [name for name in frame.columns if name.startswith(_TARGET)]
        train = _train_rows(frame[targets], self.kind)
        frame = frame[train].reset_index(drop=True)
        types = {"text": ColumnType.TEXT} if self.has_text else None
        target = targets if self.kind is ProblemKind.MULTI_LABEL else targets[0]
        problem = problem_from_frame(frame, target, self.kind, types)
        share = most_rows / problem.row_count
        return problem.take(thinned(problem, np.arange(problem.row_count), share, _SEED))


def development_sets(folder: Path) -> list[DevelopmentSet]:
    """Returns the tables and texts of a folder with a manifest; see the data's README."""
    with (folder / "manifest.csv").open(newline="") as file:
        return [
            DevelopmentSet(
                row["name"],
                _KINDS[row["task"]],
                folder / f"{row['name']}.parquet",
                row["task"].startswith("text"),
                f"{row['source']} ({row['licence']})",
            )
            for row in csv.DictReader(file)
            if row["task"] in _KINDS
        ]


def write_sources(sets: Sequence[DevelopmentSet], path: Path) -> None:
    """Writes where sets come from, a row each."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["set", "kind", "source"])
        writer.writerows([each.name, each.kind, each.source] for each in sets)


def _train_rows(truth: pd.DataFrame, kind: ProblemKind) -> npt.NDArray[np.bool_]:
    """Returns the rows that benchmarks learn from with seed 0, as the data's README has them."""
    generator, train = np.random.RandomState(_SEED), np.zeros(len(truth), bool)
    groups: npt.NDArray[Any] = np.zeros(len(truth), np.int64)
    if kind.has_classes:
        groups = np.unique(truth.iloc[:, 0].to_numpy(), return_inverse=True)[1]
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        train[generator.permutation(rows)[: max(1, round(_TRAIN_SHARE * len(rows)))]] = True
    return train
