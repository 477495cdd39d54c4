"""How well anomalies are found that were put among usual rows, by kind.

Four kinds, made as in ADBench (Han et al., 2022, section 3.2) from a Gaussian mixture that was
fitted to usual rows: local ones from the mixture with its covariances five times as wide, clustered
ones from its means five times as far out, global ones uniform over ten percent more than the range;
dependency anomalies have each column of another row.

Part of `make bench NAME=outlier`; alone it is `python -m tests.benchmarks.outlier.injected`.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from statistics import fmean

import numpy as np
import numpy.typing as npt
from sklearn import datasets
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture

from services.outlier.domain.ensemble import combined_scores
from services.outlier.domain.fitting import Budget, fit_ensemble
from tests.benchmarks.harness import Measure, is_quick, publish, say
from tests.benchmarks.outlier.labelled import columns_of, raw_rows

Matrix = npt.NDArray[np.float64]
NOTES = (
    "Injected: 5 % anomalies of one kind among the rows of scikit-learn's iris, wine, diabetes, "
    "breast_cancer and digits; AUROC on all rows, mean over the sets; theirs is the best single "
    "detector of those that are combined, known only afterwards.",
)
_SHARE = 0.05
_WIDER = 5.0
_SETS: Mapping[str, Callable[[], object]] = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "diabetes": datasets.load_diabetes,
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}


def injected() -> list[Measure]:
    """Measures all kinds of anomalies."""
    measures = []
    for kind, make in _KINDS.items():
        areas: dict[str, list[float]] = {}
        for name, rows, labels in _mixed(make):
            for detector, area in _areas(rows, labels).items():
                areas.setdefault(detector, []).append(area)
            say(f"  {kind} in {name}: combined {areas['combined'][-1]:.3f}")
        means = {detector: fmean(found) for detector, found in areas.items()}
        say("  " + ", ".join(f"{detector} {area:.3f}" for detector, area in means.items()))
        ours = means.pop("combined")
        measures.append(Measure.of(f"AUROC, {kind} anomalies", ours, max(means.values())))
    return measures


def _areas(values: Matrix, labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """Returns the AUROC of the combined detectors and of each by itself."""
    raw, columns = raw_rows(values), columns_of(values)
    budget = Budget(deadline=float("inf"), rows=len(values))
    fit = fit_ensemble(raw, columns, np.random.default_rng(0), budget)
    rows = fit.preparation.apply(raw)
    found = {member.name: member.score(rows) for member in fit.members}
    found["combined"] = combined_scores(fit.members, rows)
    return {name: float(roc_auc_score(labels, scores)) for name, scores in found.items()}


def _mixed(
    make: Callable[[Matrix, int, np.random.Generator], Matrix],
) -> Iterator[tuple[str, Matrix, npt.NDArray[np.int64]]]:
    for name, load in list(_SETS.items())[: 2 if is_quick() else None]:
        usual = np.asarray(load()["data"], np.float64)  # type: ignore[index]
        usual = usual[:, usual.std(axis=0) > 0]
        usual = (usual - usual.mean(axis=0)) / usual.std(axis=0)
        generator = np.random.default_rng(0)
        count = max(5, int(len(usual) * _SHARE))
        odd = make(usual, count, generator)
        order = generator.permutation(len(usual) + count)
        labels = np.repeat([0, 1], [len(usual), count])
        yield name, np.vstack([usual, odd])[order], labels[order]


def _mixture(usual: Matrix, generator: np.random.Generator) -> GaussianMixture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixtures = [
            GaussianMixture(count, reg_covar=1e-3, random_state=int(generator.integers(2**31)))
            for count in (1, 2, 4, 8)
        ]
        return min(
            (mixture.fit(usual) for mixture in mixtures), key=lambda mixture: mixture.bic(usual)
        )


def _local(usual: Matrix, count: int, generator: np.random.Generator) -> Matrix:
    mixture = _mixture(usual, generator)
    mixture.covariances_ *= _WIDER
    rows: Matrix = mixture.sample(count)[0]
    return rows


def _clustered(usual: Matrix, count: int, generator: np.random.Generator) -> Matrix:
    mixture = _mixture(usual, generator)
    mixture.means_ = mixture.means_ * _WIDER
    rows: Matrix = mixture.sample(count)[0]
    return rows


def _global(usual: Matrix, count: int, generator: np.random.Generator) -> Matrix:
    low, high = usual.min(axis=0), usual.max(axis=0)
    margin = 0.05 * (high - low)
    return generator.uniform(low - margin, high + margin, (count, usual.shape[1]))


def _dependency(usual: Matrix, count: int, generator: np.random.Generator) -> Matrix:
    columns = [generator.choice(column, count) for column in usual.T]
    return np.stack(columns, axis=1)


_KINDS: Mapping[str, Callable[[Matrix, int, np.random.Generator], Matrix]] = {
    "local": _local,
    "global": _global,
    "clustered": _clustered,
    "dependency": _dependency,
}


if __name__ == "__main__":
    publish("injected", injected(), NOTES)
