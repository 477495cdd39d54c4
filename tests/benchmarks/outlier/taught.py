"""How much known labels help: `auto` with 1 % and with 10 % of the labels, and without.

Part of `make bench NAME=outlier DATA=folder`; alone it is
`python -m tests.benchmarks.outlier.taught`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from services.outlier.domain.detectors.supervised import ANOMALY, UNKNOWN, Labels
from services.outlier.domain.ensemble import combined_scores
from services.outlier.domain.fitting import Budget, Fit, fit_ensemble
from services.outlier.domain.labelling import LabelledRows, learn_labels
from tests.benchmarks.harness import Aim, Measure, publish, say
from tests.benchmarks.outlier.labelled import Split, columns_of, raw_rows, splits

NOTES = (
    "Labels: the same sets, splits and detectors; of the rows that are fitted so many were chosen "
    "at random, at least one anomaly among them, and their labels told, of anomalies and of usual "
    "rows. Theirs is the same without labels. What labels usually gain was learned on these sets, "
    "so that this flatters.",
)
_SHARES = (0.01, 0.1)
_CLEARLY = Aim(ratio=0.95)


def taught() -> list[Measure]:
    """Measures all sets; none where no folder was given."""
    folder = os.environ.get("AIMASS_BENCH_DATA", "")
    if not folder:
        return []
    found: dict[float, list[float]] = {share: [] for share in (0.0, *_SHARES)}
    for split in splits(Path(folder)):
        areas = dict(_areas(split))
        told = ", ".join(f"{share:.0%} {area:.3f}" for share, area in areas.items())
        say(f"  {split.name}: {told}")
        for share, area in areas.items():
            found[share].append(area)
    means = {share: fmean(areas) for share, areas in found.items()}
    return [
        Measure.of(
            f"1 - mean AUROC, {share:.0%} of the labels", 1 - means[share], 1 - means[0.0], _CLEARLY
        )
        for share in _SHARES
    ]


def _areas(split: Split) -> Iterator[tuple[float, float]]:
    budget = Budget(deadline=float("inf"), rows=len(split.judged))
    raw = raw_rows(split.fitted)
    generator = np.random.default_rng(split.seed)
    fit = fit_ensemble(raw, columns_of(split.fitted), generator, budget)
    yield 0.0, _area(split, fit)
    for share in _SHARES:
        labels = _told(split, share)
        known = np.flatnonzero(labels != UNKNOWN)
        sample = LabelledRows(raw, labels)
        learned, _ = learn_labels(fit, sample, [sample.take(known)], generator, budget)
        yield share, _area(split, learned)


def _told(split: Split, share: float) -> Labels:
    """Returns the labels of some rows, chosen at random; others are unknown."""
    generator = np.random.default_rng(split.seed)
    count = max(2, round(share * len(split.fitted)))
    chosen = generator.choice(len(split.fitted), count, replace=False)
    anomalies = np.flatnonzero(split.fitted_labels == ANOMALY)
    if not (split.fitted_labels[chosen] == ANOMALY).any():
        chosen[0] = generator.choice(anomalies)
    labels = np.full(len(split.fitted), UNKNOWN, np.int8)
    labels[chosen] = split.fitted_labels[chosen]
    return labels


def _area(split: Split, fit: Fit) -> float:
    rows = fit.preparation.apply(raw_rows(split.judged))
    scores: npt.NDArray[np.float64] = combined_scores(fit.members, rows, fit.learned)
    return float(roc_auc_score(split.labels, scores))


if __name__ == "__main__":
    publish("outlier-taught", taught(), NOTES)
