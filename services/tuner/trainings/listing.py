"""Networks among the candidates, the members and the inputs of a search."""

import math
from collections.abc import Sequence

from aimass.tuner.v1 import tuner_pb2
from common.scoring.metric import Metric
from services.tuner.convert import settings_to_proto
from services.tuner.domain.ensemble.joining import Guest, Joined
from services.tuner.domain.search.tuning import Tuned


def with_guests(
    candidates: Sequence[tuner_pb2.Candidate], folds: int, metric: Metric, joined: Joined
) -> list[tuner_pb2.Candidate]:
    """Returns the candidates with the networks among the complete ones, the best first.

    Args:
        candidates: As `ranked_candidates` gives them; their weights become those in the whole.
        folds: Of a complete candidate.
        metric: What was made small.
        joined: The networks.
    """
    for each in candidates:
        each.weight *= 1 - joined.share
    complete = [each for each in candidates if each.fold_count == folds]
    for guest in sorted(joined.guests, key=lambda each: each.loss):
        better = sum(_is_better(each, guest, metric) for each in complete)
        complete.insert(better, _candidate(guest, joined, metric))
    return complete + [each for each in candidates if each.fold_count != folds]


def guest_members(joined: Joined | None) -> list[tuner_pb2.Member]:
    """Returns the networks that are parts of the model, the weightiest first."""
    if joined is None:
        return []
    members = [
        tuner_pb2.Member(
            candidate=each.number, family=each.family, weight=joined.weights[each.number]
        )
        for each in joined.guests
        if each.number in joined.weights
    ]
    return sorted(members, key=lambda each: -each.weight)


def sources_of(joined: Joined | None) -> list[str]:
    """Returns the model versions that are parts of the model."""
    if joined is None:
        return []
    return [each.source for each in joined.guests if each.number in joined.weights and each.source]


def _is_better(candidate: tuner_pb2.Candidate, guest: Guest, metric: Metric) -> bool:
    if not candidate.HasField("score"):
        return False
    sign = 1 if metric.shown(0.0) > metric.shown(1.0) else -1
    return sign * candidate.score >= sign * metric.shown(guest.loss)


def _candidate(guest: Guest, joined: Joined, metric: Metric) -> tuner_pb2.Candidate:
    made = tuner_pb2.Candidate(
        number=guest.number,
        family=guest.family,
        settings=settings_to_proto(guest.configuration),
        origin=tuner_pb2.CANDIDATE_ORIGIN_PORTFOLIO,
        fold_count=1,
        score=metric.shown(guest.loss),
        model_bytes=round(guest.cost.bytes),
        weight=joined.weights.get(guest.number, 0.0),
    )
    made.duration.FromNanoseconds(round(guest.seconds * 1e9))
    return made


def add_guests(summary: tuner_pb2.TuningSummary, tuned: Tuned) -> None:
    """Says in a summary what networks have to do with the model."""
    joined, metric = tuned.joined, tuned.metric
    if joined is None:
        return
    summary.candidate_count += len(joined.guests)
    summary.trial_count += len(joined.guests)
    if not joined.weights:
        summary.verdict += " Networks that were trained beside it would not make it better."
        return
    for each in summary.members:
        each.weight *= 1 - joined.share
    members = sorted(
        [*summary.members, *guest_members(joined)], key=lambda each: each.weight, reverse=True
    )
    del summary.members[:]
    summary.members.extend(each for each in members if each.weight > 0)
    summary.score.value = metric.shown(joined.judged.loss)
    error = joined.judged.error
    summary.score.standard_error = error if math.isfinite(error) else 0.0
    summary.blend += "; of this and trained networks the weighted mean of their outputs"
    summary.verdict += f" {joined_words(joined, metric)}"


def joined_words(joined: Joined, metric: Metric) -> str:
    """Returns what networks add, a sentence."""
    return (
        f"Trained networks are {100 * joined.share:.0f} % of the model: on {joined.row_count:,} "
        f"validation rows {metric.name} is {metric.shown(joined.judged.loss):.4g} with them and "
        f"{metric.shown(joined.alone.loss):.4g} without."
    )
