"""What the marks of an outlier scan were worth."""

from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from common.protobuf import enum_short_name
from common.reports.report import Part, Section, Table
from services.tuner.domain.page.evidence import Evidence
from services.tuner.domain.page.words import counted, metric_words

_USES = trainer_pb2.OutlierUse.DESCRIPTOR
_WORDS = {
    "keep": "all rows alike",
    "drop": "marked rows left out",
    "down_weight": "likely outliers weigh less",
}


def outliers(evidence: Evidence, outcome: tuner_pb2.OutlierOutcome) -> Section:
    """Returns how candidates did with and without the marks, and what came of it."""
    parts: list[Part] = [outcome.verdict]
    metric = metric_words(evidence.tuned.metric)
    rows = [
        (
            _WORDS[enum_short_name(_USES, each.use)],
            each.mean,
            each.difference,
            each.lower_bound,
            each.upper_bound,
            "yes" if each.adopted else "no",
            each.reason,
        )
        for each in outcome.comparison.results
    ]
    if rows:
        caption = (
            f"Means of {counted(outcome.candidate_count, 'model')}, each fitted in these ways on "
            "the same folds. Gain: by how much it is better than with all rows alike, with its "
            "interval of 95 % confidence (corrected resampled t-test; Nadeau and Bengio, 2003)."
        )
        columns = ("Rows learned from", metric, "Gain", "At least", "At most", "Used", "Why")
        parts.append(Table(columns, rows, caption))
    note = (
        f"{outcome.scan} marks {outcome.marked_count:,} of {evidence.problem.row_count:,} rows. "
        "Rows that models are judged on count as they are, outliers included."
    )
    return Section("With the marks of an outlier scan", parts, note)
