"""What an outlier scan's marks are worth to a search: without them, with them, and as it decides.

Part of `make bench NAME=tuner`; alone it is `make bench NAME=tuner.outlier_weights`. A share of the
rows that are learned from is broken, or has a wrong target; rows to predict are whole. The outlier
service's own scan marks the rows. The candidates are the same for all, fitted on the same folds, so
that neither time nor a busy machine decides: the proof and the blend of the search are measured.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from common.data.marks import RowMarks
from common.data.rows import RawRows
from common.data.schema import Column, ColumnType
from common.scoring.metric import Metric
from common.scoring.outlier_uses import BASELINE, USES, Use
from common.scoring.registry import metric_for
from services.outlier.domain.scan import ScanOptions, scan
from services.outlier.domain.table import RowsTable
from services.tuner.domain.ensemble.final import final_estimator, pool_of
from services.tuner.domain.ensemble.selection import choose_ensemble
from services.tuner.domain.families.family import outputs_of
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.folds import fold_splits
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.reading import problem_from_frame
from services.tuner.domain.search.library import Library
from services.tuner.domain.search.tuning import compared_results
from services.tuner.domain.trials.attempt import Desk, attempt
from services.tuner.domain.trials.messages import Order, TrialFiles, TrialSetup
from services.tuner.domain.trials.trial import Candidate, TrialTask
from tests.benchmarks.harness import Aim, Measure, publish, repeats, say

NOTES = (
    "Marks of a scan: 67 % of the rows are learned, the others predicted; mean over sets and seeds "
    "of the loss there, relative to that without marks. Kept: what the search's proof decides.",
)
_TARGET, _TRAIN_SHARE, _BROKEN_SHARE = "target", 0.67, 0.1
_FAMILIES = ("linear", "nearest_neighbours", "light_boosting")
_FOLDS, _SECONDS, _FAR = 8, 60.0, 8.0
_METRICS = {ProblemKind.REGRESSION: "rmse"}
_AIM = Aim(ratio=1.01)
"""What is kept must not be worse than without marks."""

Bools = npt.NDArray[np.bool_]
Damage = Callable[[pd.DataFrame, Bools, np.random.Generator], None]


@dataclass(frozen=True)
class Found:
    """Losses on rows that were not learned from.

    Attributes:
        by_use: Of the blend of candidates by each use of the marks.
        adopted: What the proof decides.
        kept: Of the blend that the search ends with.
        hit: Share of the broken rows that the scan marks.
    """

    by_use: Mapping[Use, float]
    adopted: Use
    kept: float
    hit: float


def outlier_weights() -> list[Measure]:
    """Measures each kind of damage."""
    say("Marks of an outlier scan as weights")
    measures = []
    for damage, harm in _DAMAGES.items():
        found = [
            _case(name, frame, damage, harm, seed)
            for name, frame in _sets()
            for seed in range(repeats(5, 2))
        ]
        kept = fmean(each.kept / each.by_use[BASELINE] for each in found)
        measures.append(Measure.of(f"{damage}: loss as kept, to without", kept, 1.0, _AIM))
        for use in USES[1:]:
            ratio = fmean(each.by_use[use] / each.by_use[BASELINE] for each in found)
            measures.append(Measure.of(f"{damage}: loss with {use}, to without", ratio, 1.0))
        share = fmean(each.adopted != BASELINE for each in found)
        measures.append(Measure.of(f"{damage}: share of searches that keep marks", share))
    return measures


def _case(name: str, frame: pd.DataFrame, damage: str, harm: Damage, seed: int) -> Found:
    generator = np.random.default_rng(seed)
    rows = generator.permutation(len(frame))
    count = round(_TRAIN_SHARE * len(frame))
    train, test = (frame.iloc[each].reset_index(drop=True) for each in (rows[:count], rows[count:]))
    broken = generator.random(count) < _BROKEN_SHARE
    harm(train, broken, generator)
    kind = ProblemKind.REGRESSION if frame[_TARGET].dtype.kind == "f" else ProblemKind.MULTICLASS
    marks = _scanned(train, seed)
    problem = replace(problem_from_frame(train, _TARGET, kind), marks=marks)
    with TemporaryDirectory() as folder:
        found = _searched(problem, problem_from_frame(test, _TARGET, kind), seed, Path(folder))
    found = replace(found, hit=float(marks.marked[broken].mean()))
    told = ", ".join(f"{use} {loss:.4f}" for use, loss in found.by_use.items())
    say(
        f"  {name}, {damage}, seed {seed}: {told}; kept {found.adopted} {found.kept:.4f}; "
        f"{marks.marked.sum()} rows marked, {100 * found.hit:.0f} % of those that are broken"
    )
    return found


def _scanned(train: pd.DataFrame, seed: int) -> RowMarks:
    """Returns what the outlier service says of rows, the target being a column as others."""
    columns = [Column(name, ColumnType.NUMERIC) for name in train]
    raw = RawRows({name: train[name].to_numpy(np.float64) for name in train})
    options = ScanOptions(seed=seed, seconds=5.0)
    result = scan(RowsTable(raw, columns), options, lambda *_: None)
    probability = result.ensemble.calibration.probabilities(result.scores)
    return RowMarks(result.marked, np.clip(probability, 0, 1).astype(np.float32))


def _searched(problem: Problem, test: Problem, seed: int, folder: Path) -> Found:
    metric = metric_for(problem.kind, _METRICS.get(problem.kind, "log_loss"))
    splits = fold_splits(problem, _FOLDS, seed)
    setup = TrialSetup(tuple(splits), metric, seed, 2 << 30)
    desk = Desk(problem, setup, FAMILIES, TrialFiles(folder))
    library = Library(splits)
    for place, name in enumerate(_FAMILIES):
        settings = FAMILIES[name].space(problem).default
        for offset, use in enumerate(USES):
            number = place * len(USES) + offset
            of = None if use == BASELINE else place * len(USES)
            _fit(desk, library, Candidate(number, name, settings, use=use, counterpart=of))
    numbers = {
        use: [each for each in library.entries if each % len(USES) == place]
        for place, use in enumerate(USES)
    }
    return Found(
        {use: _loss(problem, metric, library, test, numbers[use]) for use in USES},
        library.adopted,
        _loss(problem, metric, library, test, list(compared_results(library))),
        0.0,
    )


def _fit(desk: Desk, library: Library, candidate: Candidate) -> None:
    library.register(candidate, "benchmark")
    for fold in range(len(library.splits)):
        order = Order(candidate.number * _FOLDS + fold, TrialTask(candidate, fold, 1.0, _SECONDS))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = attempt(desk, order, lambda: _SECONDS)
        if result.failure is not None:
            raise RuntimeError(result.message)
        library.add(replace(result, outputs=np.load(desk.files.outputs(order.number))))


def _loss(
    problem: Problem, metric: Metric, library: Library, test: Problem, numbers: Sequence[int]
) -> float:
    """Returns the loss of the blend of some candidates on test rows."""
    results = {number: library.entries[number].results for number in numbers}
    ensemble = choose_ensemble(pool_of(problem, metric, results, library.splits), seconds=2.0)
    estimator = final_estimator(problem, ensemble, results)
    return metric.loss(test.truth, outputs_of(estimator, test.features, problem), None)


def _break_sensors(frame: pd.DataFrame, broken: Bools, generator: np.random.Generator) -> None:
    """Moves a third of the numbers of broken rows far out."""
    features = [name for name in frame if name != _TARGET]
    for name in features:
        hit = broken & (generator.random(len(frame)) < 1 / 3)
        signs = generator.choice([-1.0, 1.0], len(frame))
        frame.loc[hit, name] = (frame[name] + _FAR * signs * frame[name].std())[hit]


def _exchange_targets(frame: pd.DataFrame, broken: Bools, generator: np.random.Generator) -> None:
    """Gives broken rows the targets of others."""
    frame.loc[broken, _TARGET] = generator.permutation(frame[_TARGET].to_numpy())[broken]


def _break_records(frame: pd.DataFrame, broken: Bools, generator: np.random.Generator) -> None:
    """Does both: rows that say nothing."""
    _break_sensors(frame, broken, generator)
    _exchange_targets(frame, broken, generator)


def _nothing(frame: pd.DataFrame, broken: Bools, generator: np.random.Generator) -> None:
    """Leaves rows as they are: what is odd of them is natural."""


_DAMAGES: Mapping[str, Damage] = {
    "broken sensors": _break_sensors,
    "broken records": _break_records,
    "wrong targets": _exchange_targets,
    "nothing planted": _nothing,
}


def _sets() -> list[tuple[str, pd.DataFrame]]:
    """Returns tables of numbers with their target."""
    loaders = (load_breast_cancer, load_wine, load_diabetes)
    frames = [each(as_frame=True).frame.rename(columns={"target": _TARGET}) for each in loaders]
    return list(zip(("breast_cancer", "wine", "diabetes"), frames, strict=True))


if __name__ == "__main__":
    publish("tuner-outlier-weights", outlier_weights(), NOTES)
