"""What a search and its model may cost, and what is said where that was not enough."""

from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2
from common.runs.owner import RunOwner
from services.tuner.domain.ensemble.exceeding import exceeded
from services.tuner.domain.ensemble.final import cost_of
from services.tuner.domain.ensemble.pool import Cost, Limits
from services.tuner.domain.search.tuning import Tuned
from services.tuner.domain.specification import TuningSpecification


def limits_of(specification: TuningSpecification) -> Limits:
    """Returns the limits that a search was given."""
    usual, wanted = Limits(), specification
    return Limits(
        usual.seconds if wanted.row_latency is None else wanted.row_latency,
        usual.bytes if wanted.model_bytes is None else float(wanted.model_bytes),
    )


def told_exceeded(owner: RunOwner[tuner_pb2.TuningRun], tuned: Tuned, limits: Limits) -> list[str]:
    """Returns a warning for each limit that was not enough, time too; its watchers hear it."""
    members = (tuned.library.entries[number].results for number in tuned.ensemble.weights)
    found = exceeded(limits, sum(map(cost_of, members), Cost()))
    if tuned.library.share < 1:
        found.append(
            f"There was no time to learn from all rows: {tuned.library.share:.0%} of those of each "
            "fold were learned from. Give it a larger budget."
        )
    for each in found:
        owner.log(each, event_pb2.SEVERITY_WARNING, "search")
    return found
