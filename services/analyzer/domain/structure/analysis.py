"""What a model is made of, what it costs, and how long it takes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from common.data.rows import RawRows
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.models.foreign import OnnxAnalysed, SklearnAnalysed
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.structure.findings import (
    Anatomy,
    LatencyMeasure,
    StructureEdge,
    StructureFindings,
    StructureLayer,
    StructureSummary,
)
from services.analyzer.domain.structure.network import network_anatomy
from services.analyzer.domain.structure.onnx_graph import graph_anatomy
from services.analyzer.domain.structure.pipeline import pipeline_anatomy
from services.analyzer.domain.structure.timing import batch_of, median_seconds
from services.analyzer.domain.subject import Subject

_MOST_LAYERS, _MOST_EDGES = 200, 600
_FEW_ROWS = 32


def analyse_structure(subject: Subject, budget: Budget) -> StructureFindings:
    """Takes a model apart, and runs it on a row and on a batch to see how long it takes.

    Raises:
        NotApplicableError: There is no row to run it on.
        UnusableModelError: It does not take the data.
    """
    raw = subject.sample.raw
    if not subject.sample.count:
        raise NotApplicableError("There is no row to run the model on.")
    one = raw.take(slice(0, 1))
    seconds = median_seconds(lambda: subject.model.predict(one), budget)
    batch = batch_of(raw, _seconds_each(subject, raw, seconds, budget))
    latencies = [_latency(1, seconds)]
    if batch.count > 1:
        together = median_seconds(lambda: subject.model.predict(batch), budget, repeats=3)
        latencies.append(_latency(batch.count, together))
    anatomy = _with_shares(_anatomy(subject, batch, budget))
    summary = _summary(subject, anatomy, tuple(latencies))
    return StructureFindings(summary, (*anatomy.notes, *_cut(anatomy)), anatomy)


def _seconds_each(subject: Subject, raw: RawRows, seconds: float, budget: Budget) -> float:
    """Returns about how long a row takes among some: one alone costs more."""
    few = batch_of(raw.take(slice(0, _FEW_ROWS)), seconds)
    together = median_seconds(lambda: subject.model.predict(few), budget, repeats=1)
    return together / few.count


def _latency(rows: int, seconds: float) -> LatencyMeasure:
    return LatencyMeasure(rows, seconds, rows / max(seconds, 1e-9))


def _anatomy(subject: Subject, batch: RawRows, budget: Budget) -> Anatomy:
    model = subject.model
    if isinstance(model, TorchPackage):
        return network_anatomy(model, batch, budget)
    if isinstance(model, OnnxAnalysed):
        return graph_anatomy(model, batch, budget)
    assert isinstance(model, SklearnAnalysed)
    return pipeline_anatomy(model, batch, budget)


def _with_shares(anatomy: Anatomy) -> Anatomy:
    total = sum(layer.latency or 0.0 for layer in anatomy.layers)
    if not total > 0:
        return anatomy
    layers = (
        layer if layer.latency is None else replace(layer, latency_share=layer.latency / total)
        for layer in anatomy.layers
    )
    return replace(anatomy, layers=tuple(layers))


def _summary(
    subject: Subject, anatomy: Anatomy, latencies: tuple[LatencyMeasure, ...]
) -> StructureSummary:
    layers = _slowest(anatomy.layers)
    listed = {layer.name for layer in layers}
    edges = [edge for edge in anatomy.edges if edge[0] in listed and edge[1] in listed]
    return StructureSummary(
        layer_count=len(anatomy.layers),
        layers=layers,
        edges=tuple(StructureEdge(*edge) for edge in edges[:_MOST_EDGES]),
        parameter_count=sum(layer.parameter_count for layer in anatomy.layers),
        parameter_bytes=sum(layer.parameter_bytes for layer in anatomy.layers),
        file_bytes=subject.size_bytes,
        multiply_accumulates=_total(anatomy, lambda layer: layer.multiply_accumulates),
        activation_bytes=_total(anatomy, lambda layer: layer.activation_bytes),
        peak_activation_bytes=peak_bytes(anatomy),
        latencies=latencies,
        batch_rows=anatomy.batch_rows,
    )


def _total(anatomy: Anatomy, value: Callable[[StructureLayer], int | None]) -> int | None:
    """Returns the sum over the layers; None where one is not known."""
    values = [value(layer) for layer in anatomy.layers]
    known = [each for each in values if each is not None]
    return sum(known) if len(known) == len(values) else None


def _slowest(layers: Sequence[StructureLayer]) -> tuple[StructureLayer, ...]:
    """Returns as many layers as are told, those that take longest, in order."""
    if len(layers) <= _MOST_LAYERS:
        return tuple(layers)
    order = sorted(range(len(layers)), key=lambda place: -(layers[place].latency or 0.0))
    return tuple(layers[place] for place in sorted(order[:_MOST_LAYERS]))


def peak_bytes(anatomy: Anatomy) -> int | None:
    """Returns the most bytes of values of one row that must be kept at a time.

    A value is kept from the layer that gives it to the last one that takes it.
    """
    given: Mapping[str, int | None] = {each.name: each.activation_bytes for each in anatomy.layers}
    if any(size is None for size in given.values()):
        return None
    order = {layer.name: place for place, layer in enumerate(anatomy.layers)}
    last = dict(order)
    for source, target in anatomy.edges:
        if source in last:
            last[source] = max(last[source], order[target])
    changes = [0] * (len(order) + 1)
    for name, place in order.items():
        changes[place] += given[name] or 0
        changes[last[name] + 1] -= given[name] or 0
    return max(_running(changes), default=0)


def _running(changes: Sequence[int]) -> Iterator[int]:
    total = 0
    for change in changes:
        total += change
        yield total


def _cut(anatomy: Anatomy) -> Iterator[str]:
    count = len(anatomy.layers)
    if count > _MOST_LAYERS:
        yield f"Of {count:,} layers the {_MOST_LAYERS} that take longest are listed."
    if len(anatomy.edges) > _MOST_EDGES:
        yield f"Of {len(anatomy.edges):,} connections the first {_MOST_EDGES} are listed."
