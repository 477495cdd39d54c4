"""Which detectors to combine: by anomalies put among usual rows, no label of an anomaly is used.

Run it with `python -m tests.benchmarks.outlier.choosing`; with `AIMASS_BENCH_DATA=folder` the sets
in a folder take part beside those of scikit-learn: npz files with `X`, with `codes` where there are
columns of labels, and with `y` where some rows (1) are anomalies: these are left out. It prints
what it finds. Labelled sets find what this chooses worse than what `domain/choosing.py` combines,
so that was only changed where the gain here is clear (`services/outlier/README.md` tells the
story): read it as one of two witnesses. The rule:

1. Every candidate scores every task of `injected_tasks` once. What counts is the AUROC, meaned over
   sets, with equal weight for each of the four kinds.
2. Combinations are searched from the best smaller ones. They may cost `_MOST_COST`, and have at
   most one detector that compares each row with all that it was fitted on.
3. Random halves of the sets choose the best of each size, the other halves judge it: the size is
   taken after which that gains less than one standard error, but three at least: data that is not
   here may be nothing for one of them.
4. Of the combinations of that size within one standard error of the best, the one whose worst kind
   is found best; where two are as good (0.002), the cheaper.
"""

import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.outlier.domain.calibration import Normaliser
from services.outlier.domain.detector import Detector, Rows, Scores
from services.outlier.domain.detectors.density import Hbos
from services.outlier.domain.detectors.forests import IsolationForest
from services.outlier.domain.detectors.linear import Pca
from services.outlier.domain.detectors.neighbours import Aggregation, Knn, Lof, SubsampledNeighbours
from services.outlier.domain.detectors.registry import DETECTORS
from services.outlier.domain.preparation import prepare
from tests.benchmarks.harness import is_quick, say
from tests.benchmarks.outlier.injected_tasks import Kind, Mixed, Task, offline_sets, tasks

Combination = tuple[str, ...]
Areas = npt.NDArray[np.float64]

_TURNS = 4
_LEAST, _MOST = 3, 5
_BEAM = 30
_HALVES = 40
_ALIKE = 0.002
_NORMALISED_ROWS = 1000
# Processor seconds for a million rows of 20 numbers: a quarter more than the nearest neighbours and
# four quick detectors take together.
_MOST_COST = 110.0
_COMPARING = ("knn", "lof", "dbscan", "hdbscan", "kde")
_CANDIDATES: Mapping[str, Detector] = {
    # A network for each task takes too long, here and in a scan that was asked for nothing.
    **{name: kind() for name, kind in DETECTORS.items() if name != "auto_encoder"},
    **{
        f"subsampled_neighbours_{rows}": SubsampledNeighbours(sample_rows=rows)
        for rows in (1, 2, 4, 16, 32, 64)
    },
    "knn_5": Knn(neighbours=5),
    "knn_50": Knn(neighbours=50),
    "knn_max20": Knn(aggregation=Aggregation.MAX),
    "lof_50": Lof(neighbours=50),
    "isolation_forest_64": IsolationForest(sample_rows=64),
    "hbos_32": Hbos(bins=32),
    "hbos_64": Hbos(bins=64),
    "pca_90": Pca(variance=0.9),
}


@dataclass(frozen=True)
class _Scored:
    """A task, and what each candidate says of its judged rows.

    Attributes:
        set_name: Where its usual rows are from.
        kind: Of its anomalies.
        truth: 1 marks an anomaly, shape (judged rows,).
        scores: Normalised, shape (candidates, judged rows).
    """

    set_name: str
    kind: Kind
    truth: npt.NDArray[np.int64]
    scores: Areas


@dataclass
class _Bench:
    """Measures combinations, each once.

    Attributes:
        scored: All tasks.
        costs: Of each candidate, processor seconds for a million rows.
        known: What was measured: means by set and kind, shape (sets, kinds).
    """

    scored: Sequence[_Scored]
    costs: Mapping[str, float]
    known: dict[Combination, Areas] = field(default_factory=dict)

    def measure(self, names: Combination) -> Areas:
        """Returns the mean AUROC for each set and kind, shape (sets, kinds)."""
        if names not in self.known:
            places = [list(_CANDIDATES).index(name) for name in names]
            found: dict[tuple[str, Kind], list[float]] = {}
            for each in self.scored:
                area = _area(each.truth, each.scores[places].mean(axis=0))
                found.setdefault((each.set_name, each.kind), []).append(area)
            sets = dict.fromkeys(each.set_name for each in self.scored)
            self.known[names] = np.array(
                [[np.mean(found[name, kind]) for kind in Kind] for name in sets]
            )
        return self.known[names]

    def cost(self, names: Combination) -> float:
        """Returns what a combination costs."""
        return sum(self.costs[name] for name in names)

    def is_allowed(self, names: Combination) -> bool:
        """Returns whether a combination is quick enough."""
        comparing = sum(name.startswith(_COMPARING) for name in names)
        return comparing <= 1 and self.cost(names) <= _MOST_COST

    def search(self) -> list[list[Combination]]:
        """Returns combinations by size, the best first."""
        ranked = [self._ranked({(name,) for name in _CANDIDATES})]
        while len(ranked) < _MOST:
            longer = {
                tuple(sorted({*names, name}))
                for names in ranked[-1][:_BEAM]
                for name in _CANDIDATES
                if name not in names
            }
            ranked.append(self._ranked(longer))
            say(f"  {len(longer)} combinations of {len(ranked)}")
        return ranked

    def _ranked(self, combinations: set[Combination]) -> list[Combination]:
        allowed = sorted(filter(self.is_allowed, combinations))
        return sorted(allowed, key=lambda names: -self.measure(names).mean())


def _area(truth: npt.NDArray[np.int64], scores: Scores) -> float:
    """Returns the AUROC; there are so many that scikit-learn's takes too long."""
    usual, odd = np.sort(scores[truth == 0]), scores[truth == 1]
    below = usual.searchsorted(odd, "left") + usual.searchsorted(odd, "right")
    return float(below.mean()) / (2 * len(usual))


def main() -> None:
    """Scores, searches, prints."""
    costs = _costs()
    sets = _sets()
    say(f"Scoring the tasks of {len(sets)} sets")
    bench = _Bench(list(_scored(sets)), costs)
    say("Searching")
    ranked = bench.search()
    for names in ranked[0]:
        _say(bench, names)
    gains = _held_out(bench, ranked)
    for size, gain in enumerate(gains, start=1):
        say(f"{size + 1} instead of {size}: {gain.mean():+.4f}, standard error {gain.std():.4f}")
    size = max(_LEAST, _size(gains))
    say(f"Best of {size}, and those within one standard error, the best worst kind first")
    for names in _as_good(bench, ranked[size - 1]):
        _say(bench, names)


def _say(bench: _Bench, names: Combination) -> None:
    kinds = bench.measure(names).mean(axis=0)
    found = ", ".join(f"{kind} {area:.3f}" for kind, area in zip(Kind, kinds, strict=True))
    say(f"  {kinds.mean():.4f} ({found}), {bench.cost(names):.0f} s: {', '.join(names)}")


def _sets() -> dict[str, Mixed]:
    sets = offline_sets()
    folder = os.environ.get("AIMASS_BENCH_DATA", "")
    for path in sorted(Path(folder).glob("*.npz")) if folder else ():
        with np.load(path) as file:
            usual = file["y"].ravel() == 0 if "y" in file else slice(None)
            labels = file["codes"][usual].astype(np.int64) if "codes" in file else None
            sets[path.stem] = Mixed.of_numbers(file["X"][usual], labels)
    return dict(list(sets.items())[:2]) if is_quick() else sets


def _scored(sets: Mapping[str, Mixed]) -> Iterator[_Scored]:
    for name, rows in sets.items():
        for turn in range(1 if is_quick() else _TURNS):
            for task in tasks(name, rows, turn):
                yield _Scored(name, task.kind, task.truth, _scores(task))
        say(f"  {name}")


def _scores(task: Task) -> Areas:
    preparation = prepare(task.fitted.raw, task.fitted.columns)
    fitted, judged = preparation.apply(task.fitted.raw), preparation.apply(task.judged.raw)
    return np.stack([_normalised(each, fitted, judged) for each in _CANDIDATES.values()])


def _normalised(detector: Detector, fitted: Rows, judged: Rows) -> Scores:
    """Returns scores as an ensemble averages them; all alike where a detector is not fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            learned = detector.fit(fitted, np.random.default_rng(0))
        except ValueError:
            return np.zeros(judged.count)
    own = learned.score(fitted.take(slice(0, _NORMALISED_ROWS)))
    return Normaliser.fit(own).apply(learned.score(judged))


def _costs() -> dict[str, float]:
    say("Measuring what detectors cost")
    generator = np.random.default_rng(0)
    count = 2_000 if is_quick() else 50_000
    values = generator.normal(size=(count, 20)) @ generator.normal(size=(20, 20))
    rows = Mixed.of_numbers(values)
    prepared = prepare(rows.raw, rows.columns).apply(rows.raw)
    return {name: _cost(detector, prepared) for name, detector in _CANDIDATES.items()}


def _cost(detector: Detector, rows: Rows) -> float:
    learned = detector.fit(rows.take(slice(0, detector.card.most_rows)), np.random.default_rng(0))
    some = rows.take(slice(0, 2_000))
    learned.score(some)  # what is compiled once is compiled now
    began = time.process_time()
    learned.score(some)
    return (time.process_time() - began) / some.count * 1e6


def _held_out(bench: _Bench, ranked: Sequence[Sequence[Combination]]) -> Areas:
    """Returns what each size gains on the one before, shape (sizes - 1, halves)."""
    means = [
        np.stack([bench.measure(names).mean(axis=1) for names in of_size]) for of_size in ranked
    ]
    sets = means[0].shape[1]
    generator = np.random.default_rng(0)
    found = np.empty((len(ranked), _HALVES))
    for turn in range(_HALVES):
        order = generator.permutation(sets)
        choosing, judging = order[: sets // 2], order[sets // 2 :]
        for size, areas in enumerate(means):
            best = areas[:, choosing].mean(axis=1).argmax()
            found[size, turn] = areas[best, judging].mean()
    return np.diff(found, axis=0)


def _size(gains: Areas) -> int:
    """Returns after which size the next gains no more than one standard error."""
    enough = np.flatnonzero(gains.mean(axis=1) <= gains.std(axis=1))
    return int(enough[0]) + 1 if len(enough) else len(gains) + 1


def _as_good(bench: _Bench, of_size: Sequence[Combination]) -> list[Combination]:
    """Returns the combinations within one standard error of the best, in the order of the rule."""
    best = bench.measure(of_size[0]).mean(axis=1)

    def is_near(names: Combination) -> bool:
        lost = best - bench.measure(names).mean(axis=1)
        return bool(lost.mean() <= lost.std(ddof=1) / np.sqrt(len(lost)))

    near = [names for names in of_size if names == of_size[0] or is_near(names)]
    worst = {names: float(bench.measure(names).mean(axis=0).min()) for names in near}
    top = max(worst.values())
    return sorted(
        near, key=lambda names: (max(top - worst[names] - _ALIKE, 0.0), bench.cost(names))
    )


if __name__ == "__main__":
    main()
