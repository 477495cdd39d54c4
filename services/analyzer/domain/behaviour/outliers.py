"""Whether outliers are where the model errs."""

import numpy as np
from scipy import stats

from common.data.schema import Task
from services.analyzer.domain.behaviour.observed import Mask, Numbers, Observed
from services.analyzer.domain.behaviour.summary import OutlierErrors
from services.analyzer.domain.metrics import Z95


def outlier_errors(seen: Observed) -> OutlierErrors | None:
    """Returns errors of marked rows against those of others; None without both kinds of rows."""
    marks = seen.outliers
    if marks is None or marks.marked.all() or not marks.marked.any():
        return None
    marked, errors = marks.marked, seen.errors
    inside, outside = float(errors[marked].mean()), float(errors[~marked].mean())
    ratio = inside / outside if outside > 0 else None
    low, high = _ratio_interval(errors[marked], errors[~marked])
    total = float(errors.sum())
    return OutlierErrors(
        marks.scan,
        int(marked.sum()),
        inside,
        outside,
        ratio,
        low,
        high,
        float(errors[marked].sum() / total) if total > 0 else None,
        _p_value(seen, marked),
    )


def _ratio_interval(inside: Numbers, outside: Numbers) -> tuple[float | None, float | None]:
    """Returns the 95 % confidence interval of the ratio of two means, normal in its logarithm."""
    means = inside.mean(), outside.mean()
    if min(means) <= 0 or min(len(inside), len(outside)) < 2:
        return None, None
    variance = sum(
        each.var(ddof=1) / len(each) / mean**2
        for each, mean in zip((inside, outside), means, strict=True)
    )
    middle, half = np.log(means[0] / means[1]), Z95 * np.sqrt(variance)
    bounds = np.exp([middle - half, middle + half])
    return (float(bounds[0]), float(bounds[1])) if np.isfinite(bounds).all() else (None, None)


def _p_value(seen: Observed, marked: Mask) -> float:
    errors = seen.errors
    if seen.task is not Task.CLASSIFICATION:
        if np.ptp(errors) == 0:
            return 1.0
        return float(stats.mannwhitneyu(errors[marked], errors[~marked]).pvalue)
    wrong = errors > 0
    table = [
        [int((wrong[rows] == is_wrong).sum()) for is_wrong in (True, False)]
        for rows in (marked, ~marked)
    ]
    return float(stats.fisher_exact(table).pvalue)
