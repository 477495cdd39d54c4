"""How well anomalies are found that were put among usual rows, by kind.

Part of `make bench NAME=outlier`; alone it is `python -m tests.benchmarks.outlier.injected`.
"""

from collections.abc import Mapping
from statistics import fmean

import numpy as np
from sklearn.metrics import roc_auc_score

from services.outlier.domain.ensemble import combined_scores
from services.outlier.domain.fitting import Budget, fit_ensemble
from tests.benchmarks.harness import Measure, is_quick, publish, say
from tests.benchmarks.outlier.injected_tasks import Kind, Task, offline_sets, tasks

NOTES = (
    "Injected: 1 to 25 % anomalies of one kind among the rows of scikit-learn's iris, wine, "
    "diabetes, breast_cancer and digits, two tasks of each; AUROC on rows that were not fitted, "
    "mean over the tasks; theirs is the best single detector of those that are combined, known "
    "only afterwards.",
)


def injected() -> list[Measure]:
    """Measures all kinds of anomalies."""
    areas: dict[Kind, dict[str, list[float]]] = {kind: {} for kind in Kind}
    for name, rows in list(offline_sets().items())[: 2 if is_quick() else None]:
        for task in (task for turn in range(2) for task in tasks(name, rows, turn)):
            found = _areas(task)
            say(f"  {task.kind} in {name}: combined {found['combined']:.3f}")
            for detector, area in found.items():
                areas[task.kind].setdefault(detector, []).append(area)
    return [_measure(kind, found) for kind, found in areas.items()]


def _measure(kind: Kind, areas: Mapping[str, list[float]]) -> Measure:
    means = {detector: fmean(found) for detector, found in areas.items()}
    say("  " + ", ".join(f"{detector} {area:.3f}" for detector, area in means.items()))
    ours = means.pop("combined")
    return Measure.of(f"AUROC, {kind} anomalies", ours, max(means.values()))


def _areas(task: Task) -> dict[str, float]:
    """Returns the AUROC of the combined detectors and of each by itself."""
    budget = Budget(deadline=float("inf"), rows=task.judged.count)
    fit = fit_ensemble(task.fitted.raw, task.fitted.columns, np.random.default_rng(0), budget)
    rows = fit.preparation.apply(task.judged.raw)
    found = {member.name: member.score(rows) for member in fit.members}
    found["combined"] = combined_scores(fit.members, rows)
    return {name: float(roc_auc_score(task.truth, scores)) for name, scores in found.items()}


if __name__ == "__main__":
    publish("injected", injected(), NOTES)
