"""What a comparison comes to, in a sentence. Imports no numpy: the service, too, says it."""

from aimass.tuner.v1 import tuner_pb2


def is_clearly_better(comparison: tuner_pb2.Comparison) -> bool:
    """Whether chance alone hardly explains the gain: its lower bound is above 0."""
    return comparison.gain_low > 0


def comparison_words(comparison: tuner_pb2.Comparison, metric: str) -> str:
    """Returns what a comparison comes to, one sentence.

    Args:
        comparison: Of what was found with another model.
        metric: Name of the metric.
    """
    found, other = comparison.found_score.value, comparison.score.value
    rows = "row" if comparison.row_count == 1 else "rows"
    return (
        f"It {_grade(comparison)} {comparison.model_version} on the same {comparison.row_count:,} "
        f"test {rows}: {metric} {found:.4g} against {other:.4g}, a gain of {comparison.gain:.3g} "
        f"({comparison.gain_low:.3g} to {comparison.gain_high:.3g})."
    )


def _grade(comparison: tuner_pb2.Comparison) -> str:
    if is_clearly_better(comparison):
        return "is clearly better than"
    if comparison.gain_high < 0:
        return "is clearly worse than"
    return "cannot be told apart from"
