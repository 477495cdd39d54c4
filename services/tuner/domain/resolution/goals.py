"""What is to be made best, and by which families."""

from common.data.schema import Column
from common.scoring.kinds import ProblemKind
from common.scoring.names import (
    DEFAULT_METRICS,
    METRIC_KINDS,
    metric_kinds,
    metrics_for,
    named,
)
from services.tuner.domain.names import FAMILY_KINDS, TRAINED_KINDS, families_for, networks_for
from services.tuner.domain.resolution.data import refused, value_count
from services.tuner.domain.specification import Costs, TuningSpecification

_MOST_NAMED = 20


def resolved_metric(specification: TuningSpecification, kind: ProblemKind) -> str:
    """Returns the name of the metric; empty where costs take its place.

    Raises:
        InvalidFieldError: There is none of that name, or it does not fit the kind.
    """
    name = specification.metric
    if specification.costs is not None:
        return ""
    if not name:
        return DEFAULT_METRICS[kind]
    kinds = metric_kinds(name)
    if not kinds:
        known = f"{', '.join(METRIC_KINDS)}, or pinball_0.9 for another quantile"
        raise refused("metric", f"There is no metric `{name}`; there are {known}.")
    if kind not in kinds:
        raise refused(
            "metric",
            f"`{name}` does not fit {_words(kind)} problems; take {named(metrics_for(kind))}.",
            "METRIC_DOES_NOT_FIT",
        )
    return name


def resolved_families(specification: TuningSpecification, kind: ProblemKind) -> tuple[str, ...]:
    """Returns the families that may be tried.

    Raises:
        InvalidFieldError: There is none of a name, it is named twice, or learns other kinds.
    """
    fitting = families_for(kind)
    named_too = [*fitting, *networks_for(kind)]
    names = specification.families
    for place, name in enumerate(names):
        field = f"families[{place}]"
        if name not in FAMILY_KINDS and name not in TRAINED_KINDS:
            known = ", ".join([*FAMILY_KINDS, *TRAINED_KINDS])
            raise refused(field, f"There is no family `{name}`; there are {known}.")
        if name in names[:place]:
            raise refused(field, f"`{name}` is named twice; name each family once.")
        if name not in named_too:
            raise refused(
                field,
                f"`{name}` does not learn {_words(kind)} problems; take {named(named_too)}.",
            )
    return names or tuple(fitting)


def check_costs(costs: Costs | None, kind: ProblemKind, target: Column) -> None:
    """Checks what decisions cost: a row for each class, and nothing else.

    Args:
        costs: Of the specification.
        kind: Of the problem.
        target: The target; the first of several.

    Raises:
        InvalidFieldError: The costs do not fit the classes, or no decision matters.
    """
    if costs is None:
        return
    if not kind.has_classes:
        raise refused(
            "costs",
            f"Decisions have costs in problems of classes, not {_words(kind)}; leave them out.",
        )
    truths = tuple(each.truth for each in costs.rows)
    classes = target.labels or truths
    _check_truths(truths, classes)
    if not target.labels and len(truths) != value_count(target):
        raise refused(
            "costs.rows",
            f"There are {len(truths)} rows, and the target has {value_count(target)} classes; give "
            "each one.",
            "COSTS_NOT_COMPLETE",
        )
    known = frozenset(classes)
    for place, row in enumerate(costs.rows):
        wrong = next((each for each in row.costs if each not in known), None)
        if wrong is not None:
            raise refused(
                f"costs.rows[{place}].costs", f"{_none(wrong)}; there are {_some(classes)}."
            )
    if all(len(set(row)) == 1 for row in costs.matrix(classes)):
        raise refused(
            "costs", "All decisions cost the same; let wrong ones cost more than right ones."
        )


def _check_truths(truths: tuple[str, ...], classes: tuple[str, ...]) -> None:
    known, seen = frozenset(classes), set[str]()
    for place, truth in enumerate(truths):
        field = f"costs.rows[{place}].truth"
        if truth not in known:
            raise refused(field, f"{_none(truth)}; there are {_some(classes)}.")
        if truth in seen:
            raise refused(field, f"`{truth}` has two rows; give each class one.")
        seen.add(truth)
    missing = [each for each in classes if each not in seen]
    if missing:
        raise refused(
            "costs.rows",
            f"There is no row for {_some(missing)}; give each of the {len(classes)} classes one.",
            "COSTS_NOT_COMPLETE",
        )


def _none(name: str) -> str:
    return f"The target has no class `{name}`"


def _some(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_MOST_NAMED])
    left = len(names) - _MOST_NAMED
    return f"{shown} and {left} more" if left > 0 else shown


def _words(kind: ProblemKind) -> str:
    return kind.replace("_", "-")
