"""Models of trees with fewer nodes: equal leaves merged, branches collapsed, first trees only."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from services.pruner.domain.foreign.ensemble_nodes import (
    TreeNode,
    UnreadableTreesError,
    is_trees,
    read_trees,
    written_trees,
)
from services.pruner.domain.foreign.ensembles import (
    Ensemble,
    Floats,
    collapsed,
    first_trees,
    leaf_counts,
    merged,
    prefix_sums,
)
from services.pruner.domain.foreign.graphs import (
    Changed,
    Rows,
    called,
    copied,
    distance,
    observed,
    outputs,
)

# Shares of the tolerance that trees may use up before branches are collapsed.
_SHARES = (0.0, 0.3, 0.6)
_PRICES = 10.0 ** np.arange(-9, 0.1, 0.25)
_MOST_ROWS = 2000
# What trees say may count for more behind them, but not for so much.
_LARGEST_AFTER = 4.0

Step = Callable[[TreeNode], tuple[Ensemble, str]]


def has_trees(model: onnx.ModelProto) -> bool:
    """Returns whether a model has an ensemble of trees."""
    return any(map(is_trees, model.graph.node))


def merged_trees(model: onnx.ModelProto) -> Changed:
    """Returns a model whose splits all make a difference; outputs stay equal.

    Args:
        model: As `read_model` gives it.
    """
    return _changed(model, lambda found: (merged(found.ensemble), "its outputs are the same"))


def smaller_trees(model: onnx.ModelProto, rows: Rows, tolerance: float) -> Changed:
    """Returns a model with fewer trees and fewer nodes.

    Half of the rows tell how often leaves are reached, the other half how far scores are off. Of
    forests with the first trees only, all branches are collapsed that the tolerance allows, and
    the smallest is taken.

    Args:
        model: As `read_model` gives it.
        rows: Inputs by name, at least four rows.
        tolerance: Mean square of differences of scores, as a share of the scores' variance.
    """
    nodes = [node for node in model.graph.node if is_trees(node)]
    matrices = observed(model, rows, [node.input[0] for node in nodes])
    waiting = iter(nodes)

    def step(found: TreeNode) -> tuple[Ensemble, str]:
        matrix = matrices[next(waiting).input[0]].astype(np.float64)[:_MOST_ROWS]
        return _smallest(found, matrix, tolerance)

    changed = _changed(model, step)
    off = distance(outputs(model, rows), outputs(changed.model, rows))
    if off > _LARGEST_AFTER * tolerance:
        note = (
            f"Fewer nodes of trees would change outputs by {np.sqrt(off):.2%} of their standard "
            "deviation, for what comes after counts on every one; they are left."
        )
        return Changed(model, (note,))
    return changed


def _changed(model: onnx.ModelProto, step: Step) -> Changed:
    new, notes = copied(model), []
    for node in filter(is_trees, new.graph.node):
        try:
            found = read_trees(node)
            ensemble, note = step(found)
            written = written_trees(node, found, ensemble)
        except UnreadableTreesError as error:
            notes.append(f"{called(node)} is left alone: {error}.")
            continue
        if written.ByteSize() < node.ByteSize():
            notes.append(_note(node, found.ensemble, ensemble, note))
            node.CopyFrom(written)
    return Changed(new, tuple(dict.fromkeys(notes)))


def _note(node: onnx.NodeProto, before: Ensemble, after: Ensemble, note: str) -> str:
    if len(after.yes) == len(before.yes):
        return "Trees no longer say what is 0 and how often nodes are reached."
    return (
        f"{called(node)} keeps {len(after.yes):,} of {len(before.yes):,} nodes in "
        f"{len(after.roots):,} of {len(before.roots):,} trees; {note}."
    )


@dataclass(frozen=True)
class _Judge:
    """Tells how far smaller ensembles are off.

    Attributes:
        counted: Rows that count leaves.
        judged: Rows that differences are measured on.
        full: What the whole ensemble says of them, (rows, targets).
        mean: Whether trees are averaged.
    """

    counted: Floats
    judged: Floats
    full: Floats
    mean: bool

    def off(self, ensemble: Ensemble) -> float:
        """Returns the mean square of differences as a share of the variance."""
        *_, said = prefix_sums(ensemble, self.judged)
        return self.off_by(said, len(ensemble.roots))

    def off_by(self, said: Floats, trees: int) -> float:
        """Returns the same of a sum over trees."""
        spread = float(self.full.var(axis=0).mean()) or 1.0
        return float(np.square(said / (trees if self.mean else 1) - self.full).mean()) / spread


def _smallest(found: TreeNode, matrix: Floats, tolerance: float) -> tuple[Ensemble, str]:
    """Returns the smallest ensemble within the tolerance, and what it is like."""
    if found.aggregate not in {"SUM", "AVERAGE"}:
        raise UnreadableTreesError("the least or greatest of its trees counts, not their sum")
    ensemble, is_mean = merged(found.ensemble), found.aggregate == "AVERAGE"
    judged, trees = matrix[1::2], len(ensemble.roots)
    sums = list(prefix_sums(ensemble, judged))
    judge = _Judge(matrix[::2], judged, sums[-1] / (trees if is_mean else 1), is_mean)
    starts = [_first(found, ensemble, sums, judge, share * tolerance) for share in _SHARES]
    different = {len(start.roots): start for start in starts}.values()
    variants = [each for start in different for each in _collapsed(start, judge, tolerance)]
    best = min([ensemble, *variants], key=lambda each: len(each.yes))
    off = np.sqrt(judge.off(best))
    return best, f"scores differ by {off:.2%} of their standard deviation on rows it was not fit to"


def _first(
    found: TreeNode, ensemble: Ensemble, sums: list[Floats], judge: _Judge, tolerance: float
) -> Ensemble:
    """Returns the fewest first trees within a tolerance.

    Trees of a forest stand for those that go, so that their sum is scaled; rounds of boosting
    only lack the later ones. Which it is, the first half of them tells.
    """
    trees = len(sums)
    half = (trees + 1) // 2
    scaled = sums[half - 1] * (trees / half)
    is_forest = judge.off_by(scaled, trees) < judge.off_by(sums[half - 1], half)
    for count in range(_round(found, ensemble), trees, _round(found, ensemble)):
        factor = trees / count if is_forest and not judge.mean else 1.0
        if judge.off_by(sums[count - 1] * factor, count) <= tolerance:
            return first_trees(ensemble, count, factor)
    return ensemble


def _round(found: TreeNode, ensemble: Ensemble) -> int:
    """Returns how many trees belong together: one for each target where each has its own."""
    starts = np.zeros(len(ensemble.yes), np.int64)
    starts[ensemble.roots] = 1
    nodes, targets = np.nonzero(ensemble.values)
    pairs = np.unique(np.stack([np.cumsum(starts)[nodes], targets]), axis=1)
    has_own = len(pairs[0]) <= len(ensemble.roots)
    return len(found.targets) if has_own else 1


def _collapsed(ensemble: Ensemble, judge: _Judge, tolerance: float) -> Iterator[Ensemble]:
    """Yields the ensemble at the highest price for leaves that keeps it within a tolerance."""
    counts = leaf_counts(ensemble, judge.counted)
    scale = float(np.square(judge.full - judge.full.mean(axis=0)).sum()) / len(ensemble.roots)
    low, high = 0, len(_PRICES)
    best = None
    while low < high:
        middle = (low + high) // 2
        candidate = collapsed(ensemble, counts, scale * _PRICES[middle])
        if judge.off(candidate) <= tolerance:
            best, low = candidate, middle + 1
        else:
            high = middle
    if best is not None:
        yield best
