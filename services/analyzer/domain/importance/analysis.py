"""Finds what a model goes by, by each method that fits it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.importance.agreement import (
    CorrelatedColumns,
    agreements,
    correlated_columns,
)
from services.analyzer.domain.importance.contributions import (
    single_rows,
    swarm_of,
    told_singles,
    wanted_rows,
)
from services.analyzer.domain.importance.fed import permutable_columns
from services.analyzer.domain.importance.findings import (
    FeatureImportance,
    ImageImportance,
    ImportanceFindings,
    ImportanceSummary,
    PermutationEffect,
    TextImportance,
)
from services.analyzer.domain.importance.gradients import (
    Gradients,
    has_column_gradients,
    table_gradients,
)
from services.analyzer.domain.importance.images import SeenImages, image_column, seen_images
from services.analyzer.domain.importance.lags import SeriesImportance, series_importance
from services.analyzer.domain.importance.permutation import (
    PermutationImportance,
    permutation_importance,
)
from services.analyzer.domain.importance.shapley import Shapley, shapley_values
from services.analyzer.domain.importance.texts import TextImportance as TextFindings
from services.analyzer.domain.importance.texts import text_columns, text_importance
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.series import series_of
from services.analyzer.domain.subject import Subject

MOST_FEATURES = 50
_SERIES = 10
_NAMED_PAIRS = 3


@dataclass
class _Found:
    """What each method gave."""

    permutation: PermutationImportance | None = None
    shapley: Shapley | None = None
    gradients: Gradients | None = None
    series: list[SeriesImportance] = field(default_factory=list)
    texts: list[TextFindings] = field(default_factory=list)
    images: SeenImages | None = None
    pairs: tuple[CorrelatedColumns, ...] = ()
    notes: list[str] = field(default_factory=list)

    def methods(self) -> dict[str, dict[str, float]]:
        """Returns importance by column, by method."""
        found: dict[str, dict[str, float]] = {}
        if self.permutation is not None:
            found["permutation"] = {each.name: each.mean for each in self.permutation.items}
        others = {"shapley": self.shapley, "integrated_gradients": self.gradients}
        for name, each in others.items():
            if each is not None:
                sizes = np.abs(each.values).mean(axis=0).tolist()
                found[name] = dict(zip(each.names, sizes, strict=True))
        return found


def analyse_importance(subject: Subject, budget: Budget) -> ImportanceFindings:
    """Finds what the model goes by.

    Raises:
        NotApplicableError: The model takes no columns that could be looked at.
        UnusableModelError: It gives no numbers.
    """
    found = _Found()
    columns, image = permutable_columns(subject), image_column(subject)
    if not columns and image is None:
        raise NotApplicableError("The model takes none of the columns of the data.")
    subject.outputs  # noqa: B018 - raises where the model gives no numbers
    if image is not None:
        found.images = seen_images(subject, budget.share(1.0 if not columns else 0.3), image)
        found.notes += found.images.notes
    if columns and image is None:
        _columns(subject, budget, found)
    singles = single_rows(subject)
    swarm = None
    if found.shapley is not None:
        swarm = swarm_of(subject, found.shapley, len(singles))
    features = _features(found)
    return ImportanceFindings(
        _summary(subject, found, features),
        tuple(dict.fromkeys(found.notes)),
        subject.settings.metric,
        subject.model.outputs,
        subject.model.task is Task.CLASSIFICATION and subject.outputs.shape[1] == 2,
        features,
        found.shapley,
        swarm,
        () if found.shapley is None else tuple(told_singles(subject, found.shapley, singles)),
        tuple(found.texts),
        found.images,
    )


def _columns(subject: Subject, budget: Budget, found: _Found) -> None:
    """Looks at the columns of a table, by one method after another."""
    texts, series = text_columns(subject), series_of(subject)[:_SERIES]
    try:
        found.permutation = permutation_importance(subject, budget.share(0.4))
        found.notes += found.permutation.notes
    except NotApplicableError as error:
        found.notes.append(f"Nothing was permuted: {error}")
    if found.permutation is not None:
        for place, each in enumerate(series):
            own = budget.share(0.4 / (len(series) - place))
            importance, notes = series_importance(subject, own, each, found.permutation)
            found.series.append(importance)
            found.notes += notes
    for place, column in enumerate(texts):
        own = budget.share(0.4 / (len(texts) - place))
        found.texts.append(text_importance(subject, own, column))
    if isinstance(subject.model, TorchPackage) and has_column_gradients(subject.model):
        found.gradients = table_gradients(subject, subject.model, budget.share(0.3))
        found.notes += found.gradients.notes
    singles = np.array(list(single_rows(subject)), np.int64)
    found.shapley = shapley_values(subject, budget.share(0.9), wanted_rows(subject, singles))
    found.notes += found.shapley.notes
    found.pairs = correlated_columns(subject)
    if found.pairs:
        found.notes.append(_pairs_note(found.pairs))


def _pairs_note(pairs: Sequence[CorrelatedColumns]) -> str:
    named = "; ".join(
        f"{each.first} and {each.second} ({each.rank_correlation:.2f})"
        for each in pairs[:_NAMED_PAIRS]
    )
    more = f"; and {len(pairs) - _NAMED_PAIRS} more pairs" if len(pairs) > _NAMED_PAIRS else ""
    return (
        f"Permuting understates columns that stand for each other, by rank correlation: "
        f"{named}{more}."
    )


def _features(found: _Found) -> tuple[FeatureImportance, ...]:
    """Returns the columns, by the first method that there is."""
    methods = found.methods()
    effects = {} if found.permutation is None else {e.name: e for e in found.permutation.items}
    leading = next(iter(methods.values()), {})
    order = sorted(leading, key=lambda name: -leading[name])
    return tuple(
        FeatureImportance(
            name,
            PermutationEffect(effects[name].mean, effects[name].low, effects[name].high)
            if name in effects
            else None,
            methods.get("shapley", {}).get(name),
            methods.get("integrated_gradients", {}).get(name),
        )
        for name in order
    )


def _summary(
    subject: Subject, found: _Found, features: Sequence[FeatureImportance]
) -> ImportanceSummary:
    permutation, shapley, gradients = found.permutation, found.shapley, found.gradients
    return ImportanceSummary(
        features=tuple(features[:MOST_FEATURES]),
        metric="" if permutation is None else str(subject.settings.metric),
        permuted_row_count=0 if permutation is None else permutation.rows,
        repeats=0 if permutation is None else permutation.repeats,
        shapley_explainer=None if shapley is None else shapley.explainer,
        shapley_unit="" if shapley is None else shapley.unit,
        shapley_row_count=0 if shapley is None else len(shapley.rows),
        gradients_row_count=0 if gradients is None else len(gradients.rows),
        completeness_error=_completeness(found),
        series=tuple(found.series),
        texts=tuple(TextImportance(e.column, e.row_count, e.tokens) for e in found.texts),
        images=None
        if found.images is None
        else ImageImportance(found.images.method, tuple(e.row for e in found.images.images)),
        agreements=agreements(found.methods()),
        correlated_columns=found.pairs,
    )


def _completeness(found: _Found) -> float | None:
    if found.gradients is not None:
        return found.gradients.completeness_error
    return None if found.images is None else found.images.completeness_error
