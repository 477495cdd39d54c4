"""What was found beside the champion."""

from aimass.tuner.v1 import tuner_pb2
from common.reports.report import Notice, Section, Severity, Table
from services.tuner.domain.page.evidence import Evidence
from services.tuner.domain.page.words import metric_words


def beside(evidence: Evidence, comparison: tuner_pb2.Comparison) -> Section:
    """Returns both scores on the same test rows, and how sure the difference is."""
    metric = metric_words(evidence.tuned.metric)
    rows = [
        ("What was found", *_cells(comparison.found_score)),
        (comparison.model_version, *_cells(comparison.score)),
    ]
    scores = Table(
        ("Model", metric, "Standard error"), rows, "Scores of both on the same test rows."
    )
    gain = Table(
        ("Gain", "At least", "At most"),
        [(comparison.gain, comparison.gain_low, comparison.gain_high)],
        "By how much what was found is better, with 95 % confidence, from a paired bootstrap.",
    )
    notes = [Notice(Severity.NOTE, "Before trusting this", each, "") for each in comparison.notes]
    left_out = ""
    if comparison.left_out_count:
        left_out = (
            f" {comparison.left_out_count:,} others are left out, for the champion has learned "
            "from equal ones."
        )
    note = f"On {comparison.row_count:,} test rows, which nothing was chosen by.{left_out}"
    return Section("Beside the champion", [scores, gain, *notes], note)


def _cells(score: tuner_pb2.Score) -> tuple[float, float]:
    return score.value, score.standard_error
