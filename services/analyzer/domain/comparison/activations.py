"""How alike the hidden values of versions are."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.summary import Representation
from services.analyzer.domain.comparison.versions import Version, Versions, beginning
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.representation import (
    Activations,
    hidden_activations,
    hidden_source,
)

_MOST_ROWS = 1000
_FEWEST_ROWS = 50
_LEAST_ROWS = 4

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """How alike the layers of a challenger and the baseline are.

    Attributes:
        version: The challenger.
        baseline_layers: Layers of the baseline, in the order of computation.
        layers: Layers of the challenger, likewise.
        values: Linear centred kernel alignment, (baseline's, challenger's), 0 to 1.
        pairs: Layers of the same name; without such, of the same depth; the last ones.
    """

    version: Version
    baseline_layers: tuple[str, ...]
    layers: tuple[str, ...]
    values: Matrix
    pairs: tuple[Representation, ...]


@dataclass(frozen=True)
class ActivationComparison:
    """How alike hidden values are.

    Attributes:
        rows: Rows that were looked at.
        challengers: Each against the baseline.
        notes: What is missing, or was cut short.
    """

    rows: int
    challengers: tuple[Similarity, ...]
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> "ActivationComparison":
        """See `PartResult`."""
        return self


def compare_activations(versions: Versions, budget: Budget) -> ActivationComparison:
    """Returns the similarity of the versions' layers on the same rows.

    Raises:
        NotApplicableError: No challenger has hidden layers, or the baseline has none.
    """
    kept, notes = _with_layers(versions)
    sample = versions.sample
    if sample.count < _LEAST_ROWS:
        raise NotApplicableError(f"Similarity takes at least {_LEAST_ROWS} rows.")
    seconds = sum(each.subject.seconds_per_row for each in kept)
    wanted = min(_MOST_ROWS, sample.count)
    rows = sample.drawn(
        budget.affords(wanted, seconds, _FEWEST_ROWS), versions.baseline.subject.settings.seed
    )
    if rows.count < wanted:
        cut = f"For the budget, hidden values come of {rows.count:,} rows, not {wanted:,}."
        notes = (*notes, cut)
    baseline, *challengers = kept
    own = _kernels(hidden_activations(baseline.subject, rows.raw, _layers(baseline)))
    found = []
    for each in challengers:
        budget.check()
        other = _kernels(hidden_activations(each.subject, rows.raw, _layers(each)))
        found.append(_similarity(each, own, other))
    return ActivationComparison(rows.count, tuple(found), notes)


def _with_layers(versions: Versions) -> tuple[list[Version], tuple[str, ...]]:
    usable, notes = versions.running()
    sources = [(each, hidden_source(each.subject.model)) for each in usable.all]
    kept = [version for version, source in sources if not source.note]
    stands_in = [(version.label, source.note) for version, source in sources if source.note]
    missing = tuple(f"{beginning(label)} is left out: {note}" for label, note in stands_in)
    if usable.baseline not in kept or len(kept) < 2:
        raise NotApplicableError(" ".join(missing))
    return kept, (*notes, *missing)


def _layers(version: Version) -> tuple[str, ...]:
    """Returns the layers that were asked for, as far as this version has them."""
    known = {layer.name for layer in hidden_source(version.subject.model).layers}
    return tuple(name for name in version.subject.settings.layers if name in known)


def _kernels(found: Mapping[str, Activations]) -> dict[str, Matrix]:
    """Returns for each layer how alike each two rows are, the diagonal left out."""
    return {name: centred_kernel(values) for name, values in found.items()}


def centred_kernel(values: Activations) -> Matrix:
    """Returns the linear kernel of rows, centred without bias (Szekely and Rizzo, 2014).

    Args:
        values: Of a layer, (rows, units); at least 4 rows.

    Returns:
        Shape (rows, rows); the mean product of two such is the unbiased Hilbert-Schmidt
        independence criterion.
    """
    own = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    own -= own.mean(axis=0)
    own /= np.abs(own).max() or 1.0
    kernel = own @ own.T
    np.fill_diagonal(kernel, 0)
    rows = len(kernel)
    means = kernel.sum(axis=0) / (rows - 2)
    kernel += means.sum() / (rows - 1) - means[:, None] - means[None, :]
    np.fill_diagonal(kernel, 0)
    return np.asarray(kernel)


def alignment(first: Matrix, second: Matrix) -> float:
    """Returns the linear centred kernel alignment, debiased, 0 to 1.

    Kornblith and others, Similarity of neural network representations revisited, 2019; the
    estimator is that of Nguyen, Raghu and Kornblith, 2021.

    Args:
        first: Of one layer, from `centred_kernel`.
        second: Of another, of the same rows.
    """
    lengths = np.sqrt((first * first).sum()) * np.sqrt((second * second).sum())
    return float(np.clip((first * second).sum() / lengths, 0, 1)) if lengths > 0 else 0.0


def _similarity(
    version: Version, baseline: Mapping[str, Matrix], own: Mapping[str, Matrix]
) -> Similarity:
    values = np.array(
        [[alignment(one, other) for other in own.values()] for one in baseline.values()]
    )
    rows, columns = list(baseline), list(own)
    pairs = tuple(
        Representation(rows[row], columns[column], float(values[row, column]))
        for row, column in _matched(rows, columns)
    )
    return Similarity(version, tuple(rows), tuple(columns), values, pairs)


def _matched(baseline: list[str], own: list[str]) -> list[tuple[int, int]]:
    """Returns places of layers of the same name, or else depth; the last ones in any case."""
    matched = [(row, own.index(name)) for row, name in enumerate(baseline) if name in own]
    if not matched:
        depth = min(len(baseline), len(own))
        rows, columns = (
            np.linspace(0, len(names) - 1, depth).round().astype(int) for names in (baseline, own)
        )
        matched = [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]
    last = (len(baseline) - 1, len(own) - 1)
    return matched if last in matched else [*matched, last]
