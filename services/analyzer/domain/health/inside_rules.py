"""Rules about what is inside a model."""

from collections.abc import Iterator
from typing import Any

from services.analyzer.domain.health.rules import Finding, Grade, Results, Rule, summary_of
from services.analyzer.domain.part import NotApplicableError, PartName
from services.analyzer.domain.subject import Subject

_LEAST_DEAD, _MANY_DEAD = 0.05, 0.3
_LEAST_DUPLICATE = 0.1
_MOST_NAMED = 5
_COMPUTING = frozenset({"linear", "convolution"})
_EXPLODED, _VANISHED = 100.0, 1e-5


def broken_weights(subject: Subject, results: Results) -> Iterator[Finding]:
    """Weights that are no numbers."""
    broken = summary_of(results, PartName.WEIGHTS).broken_tensors
    if broken:
        more = f" and {len(broken) - _MOST_NAMED} more" if len(broken) > _MOST_NAMED else ""
        yield Finding(
            "broken_weights",
            Grade.PROBLEM,
            f"Weights that are NaN or infinite: {', '.join(broken[:_MOST_NAMED])}{more}.",
            "Go back to an earlier version, and train again with a lower learning rate or with "
            "clipped gradients.",
            broken[0],
        )


def exploding_weights(subject: Subject, results: Results) -> Iterator[Finding]:
    """Layers that enlarge their inputs beyond reason."""
    for each in _spectra(results):
        if each.spectrum.spectral_norm > _EXPLODED:
            yield Finding(
                "exploding_weights",
                Grade.WARNING,
                f"`{each.name}` enlarges some inputs {each.spectrum.spectral_norm:.3g} times "
                "(spectral norm).",
                "Use weight decay, a lower learning rate or clipped gradients; scale the inputs.",
                each.name,
            )


def vanishing_weights(subject: Subject, results: Results) -> Iterator[Finding]:
    """Layers that let nothing through."""
    for each in _spectra(results):
        if each.spectrum.spectral_norm < _VANISHED:
            yield Finding(
                "vanishing_weights",
                Grade.PROBLEM,
                f"`{each.name}` lets nothing through: its largest singular value is "
                f"{each.spectrum.spectral_norm:.3g}.",
                "Lower the weight decay, and check how the layer is initialised.",
                each.name,
            )


def dead_weights(subject: Subject, results: Results) -> Iterator[Finding]:
    """Units whose weights are all zero."""
    for each in summary_of(results, PartName.WEIGHTS).tensors:
        share = (each.dead_units or 0) / each.units if each.units else 0.0
        if share >= _LEAST_DEAD:
            yield Finding(
                "dead_weights",
                Grade.NOTE,
                f"{each.dead_units:,} of {each.units:,} units of `{each.name}` have weights of "
                "zero alone.",
                "Prune them: the model gets smaller and stays the same.",
                each.name,
            )


def duplicate_units(subject: Subject, results: Results) -> Iterator[Finding]:
    """Units that do what others do."""
    for each in summary_of(results, PartName.WEIGHTS).tensors:
        share = (each.duplicate_units or 0) / each.units if each.units else 0.0
        if share >= _LEAST_DUPLICATE:
            yield Finding(
                "duplicate_units",
                Grade.NOTE,
                f"{each.duplicate_units:,} of {each.units:,} units of `{each.name}` do what others "
                "do as well.",
                "Make the layer narrower, or prune it.",
                each.name,
            )


def _spectra(results: Results) -> Iterator[Any]:
    tensors = summary_of(results, PartName.WEIGHTS).tensors
    own = [each for each in tensors if each.spectrum is not None and each.kind in _COMPUTING]
    if not own:
        raise NotApplicableError("The model has no layers of weights.")
    yield from own


RULES: dict[str, Rule] = {
    "broken_weights": broken_weights,
    "exploding_weights": exploding_weights,
    "vanishing_weights": vanishing_weights,
    "dead_weights": dead_weights,
    "duplicate_units": duplicate_units,
}
