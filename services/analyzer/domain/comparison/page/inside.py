"""The sections that show differences inside: weights and hidden values."""

from collections.abc import Callable, Sequence

from plotly import graph_objects as go

from common.reports.report import Cell, Part, Plot, Section, Table
from common.reports.text import number, plot_text, shortened
from services.analyzer.domain.comparison.activations import ActivationComparison, Similarity
from services.analyzer.domain.comparison.page.style import heat_map, lines
from services.analyzer.domain.comparison.summary import TensorChange, WeightChanges
from services.analyzer.domain.comparison.versions import Version, beginning
from services.analyzer.domain.comparison.weights import WeightComparison

_MOST_NAMED = 10
_MOST_BARS = 60
_BAR_HEIGHT = 20
_MARGINS = 120

Share = Callable[[TensorChange], float]


def show_weights(found: WeightComparison) -> Section:
    """Returns the section."""
    told = [_weights_words(version, changes) for version, changes in found.challengers]
    below = [
        Section(beginning(version.label), _weights_of(version, changes))
        for version, changes in found.challengers
    ]
    return Section("How weights differ", [" ".join(told)], subsections=below)


def _weights_words(version: Version, changes: WeightChanges) -> str:
    label = beginning(version.label)
    if changes.relative_difference is None and changes.tensors:
        return f"How far {version.label} differs cannot be told: weights are 0 or no numbers."
    if changes.relative_difference is None:
        return f"{label} has no weights in the shapes of the baseline's."
    if changes.changed_share == 0:
        return f"{label} has the same weights as the baseline."
    told = f"{label} differs by {100 * changes.relative_difference:.3g} % of the weights' length"
    largest = max(changes.tensors, key=lambda each: each.relative_difference or 0.0)
    told += f", most in {shortened(largest.name, 60)}"
    zeros = _zero_share(changes.tensors, lambda each: each.challenger_zero_share)
    before = _zero_share(changes.tensors, lambda each: each.baseline_zero_share)
    if zeros > before + 0.01:
        told += f"; {100 * zeros:.1f} % of its weights are 0 ({100 * before:.1f} % before): pruned"
    if changes.reshaped:
        told += f"; {len(changes.reshaped)} tensors have another shape"
    return f"{told}."


def _zero_share(tensors: Sequence[TensorChange], share: Share) -> float:
    size = sum(each.size for each in tensors)
    return sum(share(each) * each.size for each in tensors) / max(1, size)


def _weights_of(version: Version, changes: WeightChanges) -> list[Part]:
    parts: list[Part] = []
    if changes.tensors:
        parts.append(_tensor_plot(version, changes.tensors))
    if changes.reshaped:
        rows = [
            [each.name, _shape(each.baseline), _shape(each.challenger)] for each in changes.reshaped
        ]
        caption = "Tensors whose shape changed."
        parts.append(Table(("Tensor", "Baseline", version.label), rows, caption))
    parts += _only("the baseline", changes.only_baseline)
    parts += _only(version.label, changes.only_challenger)
    return parts


def _tensor_plot(version: Version, tensors: Sequence[TensorChange]) -> Plot:
    shown = tensors
    if len(tensors) > _MOST_BARS:
        limit = sorted((each.relative_difference or 0.0 for each in tensors), reverse=True)
        shown = [
            each for each in tensors if (each.relative_difference or 0.0) >= limit[_MOST_BARS - 1]
        ][:_MOST_BARS]
    figure = go.Figure(
        go.Bar(
            x=[each.relative_difference for each in shown],
            y=[plot_text(each.name, 40) for each in shown],
            orientation="h",
        )
    )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(
        xaxis_title="length of the difference, by the baseline's length",
        height=_MARGINS + _BAR_HEIGHT * max(3, len(shown)),
    )
    caption = (
        f"How far the weights of {version.label} are from the baseline's, tensor by "
        "tensor: 0 is the same, above 1 is another network."
    )
    largest = max(tensors, key=lambda each: each.relative_difference or 0.0)
    most = number(largest.relative_difference or 0.0)
    seen = f"The largest difference is {most}, in {largest.name}."
    return Plot(figure, caption, seen, _tensor_table(tensors, caption))


def _tensor_table(tensors: Sequence[TensorChange], caption: str) -> Table:
    columns = (
        "Tensor",
        "Weights",
        "Relative difference",
        "Cosine",
        "Share changed",
        "Zero before",
        "Zero after",
    )
    rows: list[list[Cell]] = [
        [
            each.name,
            each.size,
            each.relative_difference,
            each.cosine,
            each.changed_share,
            each.baseline_zero_share,
            each.challenger_zero_share,
        ]
        for each in tensors
    ]
    return Table(columns, rows, caption)


def _shape(shape: Sequence[int]) -> str:
    return " by ".join(str(each) for each in shape) or "one number"


def _only(owner: str, names: Sequence[str]) -> list[Part]:
    if not names:
        return []
    listed = ", ".join(shortened(name, 60) for name in names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return [f"Only {owner} has {listed}{more}."]


def show_activations(found: ActivationComparison) -> Section:
    """Returns the section."""
    told = [_similarity_words(each) for each in found.challengers]
    parts: list[Part] = [" ".join(told), _pairs_plot(found)]
    parts += [_matrix(each, found.rows) for each in found.challengers]
    return Section("How alike hidden values are", parts)


def _similarity_words(found: Similarity) -> str:
    least = min(found.pairs, key=lambda each: each.similarity)
    last = found.pairs[-1]
    return (
        f"What the last hidden layer of {found.version.label} makes of the rows is like the "
        f"baseline's to {number(last.similarity)} (1 is the same but for a rotation); least alike "
        f"is {shortened(least.challenger_layer, 60)}, to {number(least.similarity)}."
    )


def _pairs_plot(found: ActivationComparison) -> Plot:
    curves = [
        (
            place,
            each.version.label,
            [plot_text(pair.baseline_layer, 30) for pair in each.pairs],
            [pair.similarity for pair in each.pairs],
        )
        for place, each in enumerate(found.challengers, 1)
    ]
    figure = lines(curves, "layer, along the depth", "similarity")
    figure.update_yaxes(range=[0, 1.03])
    figure.update_xaxes(type="category")
    caption = (
        "Similarity of layers to those of the baseline (linear centred kernel alignment): where it "
        "falls, the versions make something else of the rows."
    )
    return Plot(figure, caption, " ".join(_similarity_words(each) for each in found.challengers))


def _matrix(found: Similarity, rows: int) -> Plot:
    caption = (
        f"Similarity of all layers of the baseline (rows) and of {found.version.label} (columns) "
        f"on {rows:,} rows. Layers of alike networks are alike along the diagonal."
    )
    return heat_map(
        [[float(each) for each in row] for row in found.values],
        [shortened(name, 40) for name in found.baseline_layers],
        [shortened(name, 40) for name in found.layers],
        caption,
        _similarity_words(found),
    )
