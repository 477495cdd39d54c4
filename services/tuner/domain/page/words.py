"""Words and numbers for people."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from common.reports.text import number
from common.scoring.metric import Metric
from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.space.space import Space
from services.tuner.domain.trials.trial import Candidate, Lesson

_METRICS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "roc_auc": (
            "ROC AUC",
            "how often a row of the class is put before one of another: 0.5 is guessing, 1 perfect",
        ),
        "average_precision": (
            "average precision",
            "how clean the top of the list is: 1 is perfect",
        ),
        "log_loss": ("log loss", "how much the truth surprises the model: 0 is perfect"),
        "brier": ("Brier score", "how far probabilities are from the truth: 0 is perfect"),
        "accuracy": ("accuracy", "the share of rows that are decided rightly"),
        "balanced_accuracy": (
            "balanced accuracy",
            "the share of rows that are decided rightly, where each class counts the same",
        ),
        "f1": ("F1", "how well the class is found without false alarms: 1 is perfect"),
        "f1_macro": (
            "macro F1",
            "how well classes are found, each counting the same: 1 is perfect",
        ),
        "f1_micro": ("micro F1", "how well labels are found without false alarms: 1 is perfect"),
        "mcc": ("Matthews correlation", "of decisions with the truth: 0 is guessing, 1 perfect"),
        "hamming": ("Hamming loss", "the share of labels that are wrong"),
        "subset_accuracy": ("subset accuracy", "the share of rows with all labels right"),
        "rmse": ("RMSE", "the usual size of an error, where large ones count more"),
        "mae": ("mean error", "by how much predictions are off in the mean"),
        "r2": ("R²", "the share of the differences that is explained: 0 is guessing, 1 perfect"),
        "mase": (
            "scaled error",
            "errors beside those of a forecast that says the last season again: 1 is no better",
        ),
        "smape": ("symmetric relative error", "errors by the size of truth and forecast: 0 to 2"),
        "mape": ("relative error", "by which share of the truth predictions are off"),
        "cost_matrix": ("cost of a decision", "what wrong decisions cost in the mean"),
    }
)

_FLOORS: Mapping[str, str] = MappingProxyType(
    {
        "light_boosting": "LightGBM",
        "random_forest": "a random forest",
        "hist_boosting": "gradient boosting of scikit-learn",
        "naive": "the last season again and again",
    }
)

_ORIGINS: Mapping[str, str] = MappingProxyType(
    {
        "floor": "usual",
        "portfolio": "known",
        "surrogate": "search",
        "stacking": "others",
        "continued": "earlier search",
        "repeated": "again",
        "outliers": "outliers",
    }
)

_LESSONS: Mapping[Lesson, str] = MappingProxyType(
    {
        Lesson.OUTPUTS: "learns from the outputs of",
        Lesson.HARD_ROWS: "rows weigh more that are got wrong by",
        Lesson.CLEAN_ROWS: "rows weigh less that are got wrong by",
    }
)


def family_words(family: str) -> str:
    """Returns the name of a family for people."""
    return family.replace("_", " ")


def floor_words(family: str) -> str:
    """Returns what people call a family that is tried first, in a sentence."""
    return _FLOORS.get(family, family_words(family))


def floor_name(family: str) -> str:
    """Returns the same as a name."""
    name = floor_words(family).removeprefix("a ")
    return name[:1].upper() + name[1:]


def lesson_words(candidate: Candidate) -> str:
    """Returns what a candidate learns from its bases."""
    models = "model" if len(candidate.bases) == 1 else "models"
    numbers = ", ".join(str(each.number) for each in candidate.bases)
    return f"{_LESSONS[candidate.lesson]} the {models} {numbers}"


def use_words(candidate: Candidate) -> str:
    """Returns what a candidate makes of the marks of an outlier scan, beside its settings."""
    words = "left out" if candidate.use == "drop" else "weigh less"
    return f"rows {words} that an outlier scan marks"


def origin_words(origin: str) -> str:
    """Returns where a candidate comes from."""
    return _ORIGINS.get(origin, origin)


def metric_words(metric: Metric) -> str:
    """Returns the name of a metric for people."""
    return _METRICS.get(metric.name, (metric.name.replace("_", " "), ""))[0]


def metric_meaning(metric: Metric) -> str:
    """Returns what a metric says, for those who do not know it."""
    better = "more" if metric.shown(0.0) > metric.shown(1.0) else "less"
    return _METRICS.get(metric.name, ("", f"{better} is better"))[1]


def score_words(metric: Metric, loss: float, error: float = 0.0) -> str:
    """Returns a score, rounded as its standard error tells, with that behind it."""
    score = rounded(metric, loss, error)
    return f"{score} ± {error:,.{_digits(error)}f}" if _is_known(error) else score


def rounded(metric: Metric, loss: float, error: float) -> str:
    """Returns a score alone, rounded as a standard error tells."""
    shown = metric.shown(loss)
    return f"{shown:,.{_digits(error)}f}" if _is_known(error) else number(shown)


def _is_known(error: float) -> bool:
    return math.isfinite(error) and error > 0


def _digits(error: float) -> int:
    """Returns how many decimals a number has whose error has two digits."""
    return min(max(1 - math.floor(math.log10(error)), 0), 9)


def setting_words(value: Setting) -> str:
    """Returns a value of a setting."""
    if isinstance(value, bool | str):
        return str(value).lower() if isinstance(value, bool) else value
    return number(value)


def changes_words(space: Space, configuration: Configuration) -> str:
    """Returns which settings differ from the defaults that they would have; a dash for none."""
    changed = [
        f"{each.name} {setting_words(configuration[each.name])}"
        for each in space.parameters
        if each.name in configuration and configuration[each.name] != each.default
    ]
    return ", ".join(changed) or "as by default"


def seconds_words(seconds: float) -> str:
    """Returns a time."""
    if seconds < 120:
        return f"{number(round(seconds, 1))} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def bytes_words(count: float) -> str:
    """Returns a size."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "bytes" else f"{count:.0f} bytes"
        count /= 1000
    return f"{count:.3g} GB"


def percent(share: float) -> str:
    """Returns a share."""
    return f"{100 * share:.3g} %" if share < 0.995 or share == 1 else f"{100 * share:.1f} %"


def counted(count: int, noun: str) -> str:
    """Returns how many of something there are."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"
