"""The section of the report that shows how the weights are distributed."""

from collections.abc import Iterator

from common.reports.report import Cell, Notice, Part, Section, Severity, Table
from services.analyzer.domain.structure.words import count_told, shape_told
from services.analyzer.domain.weights.findings import (
    TreeWeights,
    WeightKind,
    WeightsFindings,
    WeightsSummary,
    WeightTensor,
)
from services.analyzer.domain.weights.plots import (
    depths_plot,
    distributions_plot,
    ranks_plot,
    sensitivity_plot,
    sizes_plot,
    splits_plot,
    thresholds_plot,
)

_MOST_NAMED = 5


def show_weights(findings: WeightsFindings) -> Section:
    """Returns the section."""
    summary = findings.summary
    parts: list[Part] = [_headline(summary), *_broken(summary)]
    sensitivity = sensitivity_plot(findings)
    if sensitivity is not None:
        parts.append(sensitivity)
    below = [_distributions(summary), _ranks(summary), _units(summary), _trees(findings)]
    if summary.tensors:
        below.append(Section("Tensor by tensor", [_table(summary)]))
    return Section(
        "Weights",
        parts,
        note=" ".join(findings.notes),
        subsections=[each for each in below if each is not None],
    )


def _headline(summary: WeightsSummary) -> str:
    return " ".join(_sentences(summary))


def _sentences(summary: WeightsSummary) -> Iterator[str]:
    known = [(each, each.sensitivity) for each in summary.tensors if each.sensitivity]
    if known:
        most, found = max(known, key=lambda pair: pair[1].output_change)
        if found.output_change > 0:
            yield f"The outputs depend most on {most.name}."
        else:
            yield "No layer that was disturbed changes the outputs."
    if summary.tensors:
        near = summary.near_zero_share
        share = "" if near is None else f", {100 * near:.2g} % of them near zero"
        yield f"{count_told(summary.weight_count)} weights in {_tensors(summary)}{share}."
        yield from _units_told(summary)
    if summary.trees is not None:
        yield _trees_told(summary.trees)


def _tensors(summary: WeightsSummary) -> str:
    return f"{summary.tensor_count:,} tensor{'s' if summary.tensor_count > 1 else ''}"


def _units_told(summary: WeightsSummary) -> Iterator[str]:
    """Yields what was looked for: not all tensors have units, or units that can be compared."""
    if summary.dead_units or summary.duplicate_units:
        yield (
            f"Dead units: {summary.dead_units:,}; units that do the same as another: "
            f"{summary.duplicate_units:,}."
        )
    elif any(each.duplicate_units is not None for each in summary.tensors):
        yield "No unit is dead or does the same as another."
    elif any(each.units for each in summary.tensors):
        yield "No unit is dead."


def _trees_told(trees: TreeWeights) -> str:
    told = f"{trees.tree_count:,} trees with {trees.mean_leaves:.3g} leaves each, on average"
    if trees.tree_count == 1:
        told = f"One tree with {trees.leaf_count:,} lea{'f' if trees.leaf_count == 1 else 'ves'}"
    if not trees.splits:
        return f"{told}; no column is split on."
    told += f"; {trees.splits[0].column} is split on most often"
    plural = "" if trees.unused_columns == 1 else "s"
    never = f", {trees.unused_columns:,} column{plural} never" if trees.unused_columns else ""
    return f"{told}{never}."


def _broken(summary: WeightsSummary) -> Iterator[Notice]:
    names = summary.broken_tensors
    if names:
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        yield Notice(
            Severity.PROBLEM,
            "Weights that are no numbers",
            f"{', '.join(names[:_MOST_NAMED])}{more} hold values that are NaN or infinite.",
            "Go back to an earlier checkpoint, and train on with a smaller learning rate or "
            "gradients that are clipped.",
        )


def _distributions(summary: WeightsSummary) -> Section | None:
    plots = [distributions_plot(summary.tensors), sizes_plot(summary.tensors)]
    drawn: list[Part] = [plot for plot in plots if plot is not None]
    return Section("How weights are distributed", drawn) if drawn else None


def _ranks(summary: WeightsSummary) -> Section | None:
    plot = ranks_plot(summary.tensors)
    return None if plot is None else Section("How many directions layers use", [plot])


def _units(summary: WeightsSummary) -> Section | None:
    rows: list[list[Cell]] = [
        [each.name, each.units, each.dead_units, each.duplicate_units]
        for each in summary.tensors
        if each.dead_units or each.duplicate_units
    ]
    if not rows:
        return None
    told = (
        "A unit is dead when all its incoming weights, or its scale, are near zero: it gives the "
        "same whatever comes in. Two units do the same when their weights point the same way. Both "
        "can be removed."
    )
    heads = ["Tensor", "Units", "Dead", "Same as another"]
    return Section("Units that do nothing new", [told, Table(heads, rows, "Where such units are.")])


def _trees(findings: WeightsFindings) -> Section | None:
    trees = findings.summary.trees
    if trees is None:
        return None
    parts: list[Part] = [depths_plot(trees)]
    if trees.splits:
        parts.insert(0, splits_plot(trees))
    thresholds = thresholds_plot(findings)
    if thresholds is not None:
        parts.append(thresholds)
    return Section("How the trees split", parts)


def _table(summary: WeightsSummary) -> Table:
    heads = ["Tensor", "Kind", "Shape", "Mean", "Standard deviation", "Smallest", "Largest"]
    heads += ["L1 norm", "L2 norm", "Near zero (%)", "No numbers", "Spectral norm"]
    heads += ["Effective rank", "Stable rank", "Change of outputs"]
    caption = (
        "All tensors. Near zero is at most a hundredth of the tensor's root mean square. The "
        "spectral norm is how much a layer can lengthen what it takes; the stable rank is the sum "
        "of squared singular values over the largest squared."
    )
    return Table(heads, [_row(each) for each in summary.tensors], caption)


def _row(tensor: WeightTensor) -> list[Cell]:
    near, spectrum = tensor.near_zero_share, tensor.spectrum
    kind = None if tensor.kind is WeightKind.UNSPECIFIED else tensor.kind.replace("_", " ")
    return [
        tensor.name,
        kind,
        shape_told(tensor.shape),
        tensor.mean,
        tensor.stddev,
        tensor.min,
        tensor.max,
        tensor.l1_norm,
        tensor.l2_norm,
        None if near is None else 100 * near,
        tensor.nan_count + tensor.infinite_count,
        None if spectrum is None else spectrum.spectral_norm,
        None if spectrum is None else spectrum.effective_rank,
        None if spectrum is None else spectrum.stable_rank,
        None if tensor.sensitivity is None else tensor.sensitivity.output_change,
    ]
