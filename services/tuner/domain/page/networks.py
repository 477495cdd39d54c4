"""What networks that were trained beside a search add to its model."""

from collections.abc import Iterator

from common.reports.report import Section, Table
from services.tuner.domain.page.evidence import Evidence
from services.tuner.domain.page.words import (
    bytes_words,
    counted,
    family_words,
    metric_words,
    score_words,
    seconds_words,
    setting_words,
)

_COLUMNS = ("Model", "Kind", "Settings", "Weight", "Time", "Size", "Version")


def networks(evidence: Evidence) -> Iterator[Section]:
    """Yields the section of the networks, where any were trained."""
    joined, metric = evidence.tuned.joined, evidence.tuned.metric
    if joined is None:
        return
    rows = [
        (
            each.number,
            family_words(each.family),
            ", ".join(f"{name} {setting_words(some)}" for name, some in each.configuration.items()),
            round(joined.weights.get(each.number, 0.0), 4),
            seconds_words(each.seconds),
            bytes_words(each.cost.bytes),
            each.source,
            evidence.shown(each.loss),
        )
        for each in sorted(joined.guests, key=lambda each: each.loss)
    ]
    name, shown = metric_words(metric), counted(joined.row_count, "validation row")
    caption = (
        f"Networks that the trainer trained on the training rows, judged on {shown}; each goes on "
        "from the one before. But of texts the epoch that is kept was chosen by these rows too, so "
        "that a network may look a little better than it is."
    )
    alone = score_words(metric, joined.alone.loss, joined.alone.error)
    told = f"On {shown} the {name} of the search's own blend is {alone}"
    if joined.weights:
        whole = score_words(metric, joined.judged.loss, joined.judged.error)
        told += (
            f"; with the networks, which have {100 * joined.share:.0f} % of the weight, {whole}. "
            "The other sections show the search's own blend."
        )
    else:
        told += ", and none of the networks makes it better."
    yield Section("Trained networks", [told, Table((*_COLUMNS, name), rows, caption)])
