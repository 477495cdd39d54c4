"""What hidden layers do on the rows."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from common.data.schema import Task
from services.analyzer.domain.activations.findings import (
    ActivationsFindings,
    ActivationsSummary,
    LayerActivations,
    MapMethod,
    RepresentationMap,
    RowFacts,
)
from services.analyzer.domain.activations.pictures import (
    PictureBudget,
    exciting_galleries,
    image_column,
    map_galleries,
)
from services.analyzer.domain.activations.projection import (
    Points,
    chance_agreement,
    points_of,
)
from services.analyzer.domain.activations.statistics import LayerWatch
from services.analyzer.domain.activations.units import class_means, layer_activations
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.hidden.source import HiddenSource, HiddenValues
from services.analyzer.domain.representation import chosen_layers, hidden_source
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.subject import Subject

_MOST_ROWS = 5000
_MOST_IMAGES = 2000
_FEWEST_ROWS = 64
_PASS_SHARE = 0.6
_PASS_COST = 1.5
"""What a row takes to be looked into, against a prediction."""


def analyse_activations(subject: Subject, budget: Budget) -> ActivationsFindings:
    """Looks at the values of hidden layers, batch by batch.

    Raises:
        UnusableModelError: A layer that was asked for does not exist, or outputs are no numbers.
        NotApplicableError: The model takes nothing that has numbers.
    """
    seed = subject.settings.seed
    source = hidden_source(subject.model, subject.settings.layers)
    names = chosen_layers(source, subject.settings.layers)
    sample, notes = _looked_at(subject, budget)
    notes += [source.note] if source.note else []
    facts = _facts(subject, sample, budget)
    watches = _watched(source, names, sample, budget, seed)
    if not watches:
        raise NotApplicableError("No values inside the model are numbers with one for each row.")
    layers = {name: layer_activations(each, facts, seed) for name, each in watches.items()}
    last = [*watches.values()][-1]
    points = points_of(last.by_row, budget.share(0.6), seed)
    pictures = PictureBudget()
    maps = map_galleries(source, sample.raw, facts, layers, pictures)
    exciting = exciting_galleries(sample.raw, facts, layers, pictures)
    notes += _cuts(watches, points, pictures)
    summary = ActivationsSummary(
        row_count=sample.count,
        stands_in=source.note,
        layers=tuple(layers.values()),
        representation=_representation(layers[last.layer.name], points, facts),
    )
    drawn = None if points is None else facts.take(points.rows)
    means = class_means(last, facts)
    return ActivationsFindings(summary, tuple(notes), drawn, means, maps, exciting)


def _looked_at(subject: Subject, budget: Budget) -> tuple[Sample, list[str]]:
    """Returns rows that can be looked at in time, and says so where they are fewer."""
    sample = subject.sample
    is_image = image_column(sample.raw) is not None
    wanted = min(sample.count, _MOST_IMAGES if is_image else _MOST_ROWS)
    cost = subject.seconds_per_row * (_PASS_COST if _is_predicted(subject) else _PASS_COST + 1)
    rows = budget.share(_PASS_SHARE).affords(wanted, cost, _FEWEST_ROWS)
    if rows == sample.count:
        return sample, []
    return sample.drawn(rows, subject.settings.seed), [
        f"Hidden layers were looked at on {rows:,} of {sample.count:,} rows."
    ]


def _facts(subject: Subject, sample: Sample, budget: Budget) -> RowFacts:
    """Returns what is known of the rows; all outputs are computed only where there is time."""
    count = subject.sample.count
    is_whole = _is_predicted(subject) or sample.count == count
    if is_whole or budget.share(0.5).affords(count, subject.seconds_per_row) == count:
        outputs = subject.outputs[np.searchsorted(subject.sample.numbers, sample.numbers)]
    else:
        outputs = subject.predict(sample.raw)
    model = subject.model
    return RowFacts(model.task, model.outputs, sample.numbers, sample.truth, outputs)


def _is_predicted(subject: Subject) -> bool:
    """Whether another part has had the outputs computed."""
    return "outputs" in vars(subject)


def _watched(
    source: HiddenSource, names: tuple[str, ...], sample: Sample, budget: Budget, seed: int
) -> Mapping[str, LayerWatch]:
    """Returns the values of layers; those without numbers are left out."""
    layers = {layer.name: layer for layer in source.layers}
    watches = {name: LayerWatch(layers[name], sample.count, seed) for name in names}

    def add(name: str, first: int, values: HiddenValues) -> None:
        budget.check()
        watches[name].add(first, values)

    source.visit(sample.raw, names, add)
    return {name: each for name, each in watches.items() if each.units}


def _representation(
    layer: LayerActivations, points: Points | None, facts: RowFacts
) -> RepresentationMap | None:
    if points is None:
        return None
    x, y = _rounded(points.places[:, 0]), _rounded(points.places[:, 1])
    rows = tuple(facts.numbers[points.rows].tolist())
    return RepresentationMap(
        layer.layer,
        points.method,
        rows,
        x,
        y,
        layer.neighbour_agreement,
        None
        if layer.neighbour_agreement is None
        else chance_agreement(facts.target, facts.task is not Task.REGRESSION),
    )


def _rounded(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Returns coordinates to four digits of their range: more cannot be seen, and fill the page."""
    step = 10.0 ** np.floor(np.log10(max(float(np.ptp(values)), 1e-300)) - 3)
    return tuple(float(f"{each:.6g}") for each in (np.round(values / step) * step).tolist())


def _cuts(
    watches: Mapping[str, LayerWatch], points: Points | None, pictures: PictureBudget
) -> list[str]:
    """Returns sentences of what was cut short."""
    wide = [name for name, each in watches.items() if len(each.kept) < each.units]
    broken = [name for name, each in watches.items() if each.has_broken_values]
    told = {
        f"Of {', '.join(wide)} not all units are kept row by row; some, picked evenly, stand for "
        "all where rows are compared.": wide,
        f"Some values of {', '.join(broken)} are no numbers, or huge.": broken,
        "The map shows main directions (PCA) only: there was no time for neighbours (t-SNE).": (
            points is not None and points.method is MapMethod.PCA
        ),
        "Some pictures were left out to keep the page small.": pictures.is_short,
    }
    return [sentence for sentence, holds in told.items() if holds]
