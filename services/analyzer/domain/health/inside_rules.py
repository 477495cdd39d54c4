"""Rules about what is inside a model."""

from collections.abc import Iterator
from typing import Any

from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.health.rules import Finding, Grade, Results, Rule, summary_of
from services.analyzer.domain.part import PartName
from services.analyzer.domain.subject import Subject

_LEAST_DEAD, _MANY_DEAD = 0.05, 0.3
_LEAST_DUPLICATE = 0.1
_MOST_NAMED = 5
_COMPUTING = frozenset({"linear", "convolution"})
_LEAST_RETAINED = 0.5
_CURVE_GRADES = {
    "diverged": Grade.PROBLEM,
    "spikes": Grade.NOTE,
    "overfitted": Grade.WARNING,
    "gap": Grade.NOTE,
    "underfitted": Grade.WARNING,
    "still_falling": Grade.NOTE,
}
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


def dead_units(subject: Subject, results: Results) -> Iterator[Finding]:
    """Units that are never active on any row."""
    for each in summary_of(results, PartName.ACTIVATIONS).layers:
        share = each.dead_unit_count / each.unit_count if each.unit_count else 0.0
        if each.function and share >= _LEAST_DEAD:
            yield Finding(
                "dead_units",
                Grade.WARNING if share >= _MANY_DEAD else Grade.NOTE,
                f"{each.dead_unit_count:,} of {each.unit_count:,} units of `{each.layer}` are "
                "never active on the rows looked at.",
                "Lower the learning rate or use another activation (leaky, GELU); or prune them.",
                each.layer,
            )


def saturated_units(subject: Subject, results: Results) -> Iterator[Finding]:
    """Units that are at the end of their range on most rows."""
    for each in summary_of(results, PartName.ACTIVATIONS).layers:
        share = each.saturated_unit_count / each.unit_count if each.unit_count else 0.0
        if share >= _MANY_DEAD:
            yield Finding(
                "saturated_units",
                Grade.WARNING,
                f"{each.saturated_unit_count:,} of {each.unit_count:,} units of `{each.layer}` are "
                "at the end of their range: gradients hardly pass them.",
                "Scale the inputs, use batch norm, or an activation that does not saturate.",
                each.layer,
            )


def training_curves(subject: Subject, results: Results) -> Iterator[Finding]:
    """Trainings that diverged, went on for too long or stopped too early."""
    for each in summary_of(results, PartName.CURVES).verdicts:
        if each.kind in _CURVE_GRADES:
            yield Finding("training_curves", _CURVE_GRADES[each.kind], each.text, each.cure)


def fragile(subject: Subject, results: Results) -> Iterator[Finding]:
    """The metric falls apart under the smallest disturbances."""
    for each in summary_of(results, PartName.ROBUSTNESS).curves:
        first = each.points[0] if each.points else None
        if first is None or first.retained is None or first.retained >= _LEAST_RETAINED:
            continue
        kind = each.kind.replace("_", " ")
        yield Finding(
            "fragile",
            Grade.WARNING,
            f"The smallest disturbance tried ({kind}, {first.severity:g} {each.unit}) leaves "
            f"{max(0.0, first.retained):.0%} of what the model is better than a guess.",
            "Train with such disturbances (augmentation), and watch the inputs for them.",
            kind,
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
    "dead_units": dead_units,
    "saturated_units": saturated_units,
    "training_curves": training_curves,
    "fragile": fragile,
}
