"""How well labelled anomalies are found that nobody told of, on the sets of ADBench.

ADBench: Anomaly Detection Benchmark (Han et al., 2022). Its protocol: 70 % of the rows to fit on,
the rest to be judged; sets of fewer than 1,000 rows are resampled to 1,000, larger ones cut to
10,000.

Part of `make bench NAME=outlier DATA=folder`; the folder holds npz files with `X` and `y`, where 1
marks an anomaly. Alone it is `python -m tests.benchmarks.outlier.labelled`.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
from pyod.models.ecod import ECOD
from pyod.models.hbos import HBOS
from pyod.models.iforest import IForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType
from services.outlier.domain.ensemble import combined_scores
from services.outlier.domain.fitting import Budget, fit_ensemble
from tests.benchmarks.harness import Aim, Measure, is_quick, publish, say

Matrix = npt.NDArray[np.float64]
NOTES = (
    "Labelled sets: AUROC on rows that were not fitted, mean over sets and two seeds; no labels "
    "are used. Theirs are PyOD's detectors with their defaults on min-max scaled rows.",
)
_SEEDS = (1, 2)
_LEAST_ROWS, _MOST_ROWS = 1_000, 10_000
_AIM = Aim(at_least=0.83)


@dataclass(frozen=True)
class Split:
    """Rows to fit on and rows to judge.

    Attributes:
        name: Of the set.
        seed: Of everything random.
        fitted: Shape (rows, features).
        judged: Shape (rows, features).
        fitted_labels: 1 marks an anomaly; not to be shown but where labels are told.
        labels: Of the judged.
    """

    name: str
    seed: int
    fitted: Matrix
    judged: Matrix
    fitted_labels: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]


def labelled() -> list[Measure]:
    """Measures all sets; none where no folder was given."""
    folder = os.environ.get("AIMASS_BENCH_DATA", "")
    if not folder:
        say("No folder of labelled sets was given (DATA=folder); they are left out")
        return []
    found: dict[str, list[float]] = {"ours": [], **{name: [] for name in _THEIRS}}
    for split in splits(Path(folder)):
        scores = {"ours": _ours(split)}
        scores |= {name: _theirs(make, split) for name, make in _THEIRS.items()}
        areas = {name: float(roc_auc_score(split.labels, each)) for name, each in scores.items()}
        say(f"  {split.name}: " + ", ".join(f"{name} {area:.3f}" for name, area in areas.items()))
        for name, area in areas.items():
            found[name].append(area)
    means = {name: fmean(areas) for name, areas in found.items()}
    return [Measure.of(f"mean AUROC, {name}", means["ours"], means[name], _AIM) for name in _THEIRS]


def splits(folder: Path) -> Iterator[Split]:
    """Yields the sets of a folder by ADBench's protocol, for each seed."""
    paths = sorted(folder.glob("*.npz"))
    for path in paths[:2] if is_quick() else paths:
        with np.load(path) as file:
            values, labels = file["X"].astype(np.float64), file["y"].astype(np.int64).ravel()
        for seed in _SEEDS[:1] if is_quick() else _SEEDS:
            chosen = _resampled(len(labels), np.random.default_rng(seed))
            parts = train_test_split(
                values[chosen],
                labels[chosen],
                test_size=0.3,
                stratify=labels[chosen],
                random_state=seed,
            )
            yield Split(path.stem, seed, *parts)


def _resampled(rows: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    if rows < _LEAST_ROWS:
        return generator.choice(rows, _LEAST_ROWS, replace=True)
    return generator.choice(rows, min(rows, _MOST_ROWS), replace=False)


def _ours(split: Split) -> Matrix:
    budget = Budget(deadline=float("inf"), rows=len(split.judged))
    fit = fit_ensemble(
        raw_rows(split.fitted),
        columns_of(split.fitted),
        np.random.default_rng(split.seed),
        budget,
    )
    return combined_scores(fit.members, fit.preparation.apply(raw_rows(split.judged)))


def raw_rows(values: Matrix) -> RawRows:
    """Returns numbers as raw columns."""
    return RawRows({f"column{place}": values[:, place] for place in range(values.shape[1])})


def columns_of(values: Matrix) -> list[Column]:
    """Returns what the columns of `raw_rows` are."""
    return [Column(name, ColumnType.NUMERIC) for name in raw_rows(values).columns]


def _theirs(make: Callable[[int], object], split: Split) -> Matrix:
    scaler = MinMaxScaler().fit(split.fitted)
    detector = make(split.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector.fit(scaler.transform(split.fitted))  # type: ignore[attr-defined]
        scores: Matrix = detector.decision_function(  # type: ignore[attr-defined]
            scaler.transform(split.judged)
        )
    return scores


_THEIRS: dict[str, Callable[[int], object]] = {
    "PyOD's IForest": lambda seed: IForest(random_state=seed),
    "PyOD's HBOS": lambda seed: HBOS(),
    "PyOD's ECOD": lambda seed: ECOD(),
}


if __name__ == "__main__":
    publish("labelled", labelled(), NOTES)
