"""The section of the report that shows what a model is made of."""

from collections.abc import Callable, Sequence

from common.reports.report import Cell, Part, Section, Table
from services.analyzer.domain.structure.bars import Bars, bars_plot
from services.analyzer.domain.structure.drawing import drawing
from services.analyzer.domain.structure.findings import StructureFindings, StructureLayer
from services.analyzer.domain.structure.words import (
    bytes_told,
    count_told,
    seconds_told,
    shape_told,
)

_MOST_BARS = 20
_MILLISECONDS = 1e3
_SLOWEST = "What takes the most time, the slowest on top."


def show_structure(findings: StructureFindings) -> Section:
    """Returns the section."""
    below = [
        Section("The graph", [drawing(findings.anatomy)]),
        _cost(findings),
        Section("Layer by layer", [_table(findings)]),
    ]
    parts: list[Part] = [_headline(findings), _totals(findings)]
    subsections = [each for each in below if each is not None]
    return Section("Structure", parts, note=" ".join(findings.notes), subsections=subsections)


def _headline(findings: StructureFindings) -> str:
    summary = findings.summary
    layers = f"{summary.layer_count:,} {_noun(findings)}{'s' if summary.layer_count > 1 else ''}"
    told = f"The model has {layers} and {count_told(summary.parameter_count)} learned numbers."
    for measure in summary.latencies[-1:]:
        each = seconds_told(measure.latency / measure.rows)
        rows = f", {measure.rows:,} rows at once" if measure.rows > 1 else ""
        told += f" It takes {each} a row{rows}."
    slowest = _by(summary.layers, lambda layer: layer.latency_share)[:1]
    for layer in slowest if summary.layer_count > 1 else ():
        told += f" Most time goes into {layer.name} ({100 * (layer.latency_share or 0):.0f} %)."
    return told


def _noun(findings: StructureFindings) -> str:
    return findings.anatomy.noun


def _totals(findings: StructureFindings) -> Table:
    summary = findings.summary
    rows: list[list[Cell]] = [
        ["Learned numbers", f"{summary.parameter_count:,}"],
        ["They take in memory", bytes_told(summary.parameter_bytes)],
        ["Files", bytes_told(summary.file_bytes)],
    ]
    if summary.multiply_accumulates is not None:
        rows.append(["Multiply-accumulates of a row", count_told(summary.multiply_accumulates)])
    if summary.peak_activation_bytes is not None:
        rows.append(["Values of a row that are kept at a time", _peak(findings)])
    for each in summary.latencies:
        what = "One row" if each.rows == 1 else f"{each.rows:,} rows at once"
        rate = f"{count_told(round(each.rows_per_second))} rows/s"
        rows.append([what, f"{seconds_told(each.latency)} ({rate})"])
    return Table(["What", "How much"], rows, "What the model costs on the machine of the analysis.")


def _peak(findings: StructureFindings) -> str:
    peak = bytes_told(findings.summary.peak_activation_bytes or 0)
    total = findings.summary.activation_bytes
    return peak if total is None else f"{peak} (of {bytes_told(total)} in all layers)"


def _cost(findings: StructureFindings) -> Section | None:
    parts: list[Part] = []
    rows = findings.summary.batch_rows or 1
    timed = _by(findings.summary.layers, lambda layer: layer.latency)
    if len(timed) > 1:
        names = [layer.name for layer in timed]
        milliseconds = [_MILLISECONDS * (layer.latency or 0) for layer in timed]
        texts = [f"{100 * (layer.latency_share or 0):.1f} %" for layer in timed]
        axis = f"milliseconds for {rows:,} rows"
        parts.append(bars_plot(Bars(names, milliseconds, axis, _SLOWEST, texts)))
    for axis, caption, value in _COSTS:
        costly = _by(findings.summary.layers, value)
        if len(costly) > 1:
            values = [value(layer) or 0 for layer in costly]
            texts = [count_told(int(each)) for each in values]
            names = [layer.name for layer in costly]
            parts.append(bars_plot(Bars(names, values, axis, caption, texts)))
    return Section("Where time and memory go", parts) if parts else None


Value = Callable[[StructureLayer], float | None]

_COSTS: Sequence[tuple[str, str, Value]] = (
    (
        "multiply-accumulates of a row",
        "What computes the most, the largest on top.",
        lambda layer: layer.multiply_accumulates,
    ),
    (
        "learned numbers",
        "What holds the most, the largest on top.",
        lambda layer: layer.parameter_count,
    ),
)


def _by(layers: Sequence[StructureLayer], value: Value) -> list[StructureLayer]:
    """Returns the layers of the largest values, at most as many as bars can be read."""
    known = [layer for layer in layers if value(layer)]
    return sorted(known, key=lambda layer: -(value(layer) or 0))[:_MOST_BARS]


def _table(findings: StructureFindings) -> Table:
    heads = [_noun(findings).capitalize(), "Kind", "Takes → gives", "Learned numbers"]
    layers = findings.summary.layers
    has_products = any(layer.multiply_accumulates for layer in layers)
    has_details = any(layer.holds or layer.options for layer in layers)
    heads += ["Multiply-adds"] if has_products else []
    heads += ["ms", "Time (%)"]
    heads += ["Holds", "Options"] if has_details else []
    rows = [_row(layer, has_products, has_details) for layer in layers]
    caption = (
        "The layers in the order in which they work; shapes and multiply-accumulates of a row."
    )
    return Table(heads, rows, caption)


def _shapes(layer: StructureLayer) -> str | None:
    if not layer.input_shape and not layer.output_shape:
        return None
    if layer.input_shape == layer.output_shape:
        return shape_told(layer.output_shape)
    return f"{shape_told(layer.input_shape)} → {shape_told(layer.output_shape)}"


def _row(layer: StructureLayer, has_products: bool, has_details: bool) -> list[Cell]:
    row: list[Cell] = [
        layer.name,
        layer.kind,
        _shapes(layer),
        layer.parameter_count,
    ]
    row += [layer.multiply_accumulates] if has_products else []
    row += [
        None if layer.latency is None else _MILLISECONDS * layer.latency,
        None if layer.latency_share is None else 100 * layer.latency_share,
    ]
    if has_details:
        held = [f"{count_told(int(value))} {what}" for what, value in layer.holds.items()]
        options = [f"{name}={value}" for name, value in layer.options.items()]
        row += [", ".join(held) or None, ", ".join(options) or None]
    return row
