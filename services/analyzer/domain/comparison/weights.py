"""How weights of versions differ, tensor by tensor."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.summary import (
    ShapeChange,
    TensorChange,
    WeightChanges,
)
from services.analyzer.domain.comparison.versions import Version, Versions, beginning
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.weights.findings import WeightKind
from services.analyzer.domain.weights.sources import sources_of
from services.analyzer.domain.weights.tensors import StoredTensor

MOST_TENSORS = 200

Tensors = Mapping[str, StoredTensor]


@dataclass(frozen=True)
class WeightComparison:
    """How the weights of each challenger differ.

    Attributes:
        challengers: With their differences; those without weights to compare are left out.
        notes: What is missing.
    """

    challengers: tuple[tuple[Version, WeightChanges], ...]
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> "WeightComparison":
        """See `PartResult`."""
        return self


@dataclass(frozen=True)
class _Sums:
    """Sums over two tensors, float64: of squares, products, and counts."""

    size: int = 0
    baseline: float = 0.0
    challenger: float = 0.0
    product: float = 0.0
    difference: float = 0.0
    changed: int = 0
    baseline_zeros: int = 0
    challenger_zeros: int = 0

    def __add__(self, other: "_Sums") -> "_Sums":
        pairs = zip(self.__dict__.values(), other.__dict__.values(), strict=True)
        return _Sums(*(one + two for one, two in pairs))


def compare_weights(versions: Versions, budget: Budget) -> WeightComparison:
    """Returns how weights differ where names and shapes match.

    Raises:
        NotApplicableError: No challenger has a tensor of the same name.
    """
    baseline = _learned(versions.baseline)
    if not baseline:
        raise NotApplicableError(f"{beginning(versions.baseline.label)} is not made of weights.")
    found, notes = [], []
    for version in versions.challengers:
        own = _learned(version)
        if baseline.keys() & own.keys():
            found.append((version, _changes(baseline, own, budget)))
        else:
            notes.append(
                f"{beginning(version.label)} has no weights of the same names as the baseline's."
            )
    if not found:
        raise NotApplicableError(" ".join(notes))
    return WeightComparison(tuple(found), tuple(notes))


def _learned(version: Version) -> dict[str, StoredTensor]:
    """Returns tensors by name; not what normalisation has seen, which no gradient has learned."""
    tensors = sources_of(version.subject.model).tensors
    return {each.name: each for each in tensors if each.kind is not WeightKind.STATISTIC}


def _changes(baseline: Tensors, challenger: Tensors, budget: Budget) -> WeightChanges:
    shared = [(baseline[name], challenger[name]) for name in baseline if name in challenger]
    tensors, total = [], _Sums()
    for before, after in shared:
        budget.check()
        if before.shape == after.shape:
            sums = _sums(before, after)
            total += sums
            tensors.append(_change(before.name, sums))
    reshaped = [
        ShapeChange(before.name, before.shape, after.shape)
        for before, after in shared
        if before.shape != after.shape
    ]
    return WeightChanges(
        tuple(_bounded(tensors)),
        tuple(reshaped[:MOST_TENSORS]),
        tuple(name for name in baseline if name not in challenger)[:MOST_TENSORS],
        tuple(name for name in challenger if name not in baseline)[:MOST_TENSORS],
        _relative(total),
        total.changed / total.size if total.size else None,
    )


def _bounded(changes: list[TensorChange]) -> list[TensorChange]:
    """Returns the changes in order; of many the largest."""
    if len(changes) <= MOST_TENSORS:
        return changes
    return sorted(changes, key=lambda each: -(each.relative_difference or 0.0))[:MOST_TENSORS]


def _sums(baseline: StoredTensor, challenger: StoredTensor) -> _Sums:
    total = _Sums()
    for (_, before), (_, after) in zip(baseline.blocks(), challenger.blocks(), strict=True):
        one, two = (each.astype(np.float64).reshape(-1) for each in (before, after))
        difference = two - one
        total += _Sums(
            one.size,
            float(one @ one),
            float(two @ two),
            float(one @ two),
            float(difference @ difference),
            int((difference != 0).sum()),
            int((one == 0).sum()),
            int((two == 0).sum()),
        )
    return total


def _change(name: str, sums: _Sums) -> TensorChange:
    lengths = float(np.sqrt(sums.baseline) * np.sqrt(sums.challenger))
    return TensorChange(
        name,
        sums.size,
        _relative(sums),
        _finite(sums.product / lengths) if lengths else None,
        sums.changed / max(1, sums.size),
        sums.baseline_zeros / max(1, sums.size),
        sums.challenger_zeros / max(1, sums.size),
    )


def _relative(sums: _Sums) -> float | None:
    return _finite(float(np.sqrt(sums.difference / sums.baseline))) if sums.baseline else None


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
