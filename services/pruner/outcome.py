"""What a pruning found, and its messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aimass.pruner.v1 import pruner_pb2
from common.scoring.metric import Metric
from services.pruner.domain.front import Gain, Recommended, front
from services.pruner.domain.latency.node_times import NodeTime
from services.pruner.domain.search import Measured
from services.pruner.domain.specification import PruningSpecification
from services.pruner.domain.variants import ORIGINAL, PartSize
from services.pruner.loading import Loaded
from services.pruner.measuring.order import Costs


@dataclass(frozen=True)
class Outcome:
    """What a pruning found.

    Attributes:
        specification: Resolved.
        loaded: What it worked with.
        metric: What counted.
        most_loss: That was accepted.
        found: All that was measured, the original first.
        costs: By name.
        choice: What is recommended.
        notes: What could not be done; whole sentences.
        times: What nodes of the original's graph take, and what those of the recommended one's;
            empty where ONNX Runtime does not compute it.
    """

    specification: PruningSpecification
    loaded: Loaded
    metric: Metric
    most_loss: float
    found: Sequence[Measured]
    costs: Mapping[str, Costs]
    choice: Recommended
    notes: tuple[str, ...]
    times: Mapping[str, Sequence[NodeTime]] = field(default_factory=dict)

    @property
    def original(self) -> Measured:
        """The model as it was."""
        return self.found[0]

    @property
    def chosen(self) -> Measured:
        """What is recommended."""
        name = self.choice.point.name
        return next(each for each in self.found if each.variant.name == name)

    @property
    def front(self) -> list[Measured]:
        """What nothing else is better than, by how much is gained."""
        names = {each.name for each in front([each.point for each in self.found])}
        return self._ordered([each for each in self.found if each.variant.name in names])

    @property
    def ordered(self) -> list[Measured]:
        """All, the front first."""
        best = self.front
        return [*best, *self._ordered([each for each in self.found if each not in best])]

    def gain_of(self, measured: Measured) -> float:
        """Returns how many times less a point takes of what was to become smaller."""
        return measured.point.gain(self.original.point, self.specification.gain)

    def _ordered(self, found: Sequence[Measured]) -> list[Measured]:
        return sorted(found, key=lambda each: -self.gain_of(each))


def points_to_proto(outcome: Outcome) -> pruner_pb2.ListPointsResponse:
    """Returns the messages of all that was measured, the front first."""
    best = [each.variant.name for each in outcome.front]
    return pruner_pb2.ListPointsResponse(
        points=[point_to_proto(outcome, each, best) for each in outcome.ordered]
    )


def summary_to_proto(outcome: Outcome) -> pruner_pb2.PruningSummary:
    """Returns the message of what was found, in short."""
    best = [each.variant.name for each in outcome.front]
    choice, metric = outcome.choice, outcome.metric
    return pruner_pb2.PruningSummary(
        recommended=choice.point.name,
        is_within=choice.is_within,
        reasons=choice.reasons,
        gain=outcome.gain_of(outcome.chosen),
        point=point_to_proto(outcome, outcome.chosen, best),
        original=point_to_proto(outcome, outcome.original, best),
        metric=metric.name,
        is_larger_better=metric.shown(0.0) > metric.shown(1.0),
        max_loss=outcome.most_loss,
        point_count=len(outcome.found) - 1,
        choosing_row_count=len(outcome.loaded.choosing.truth),
        judging_row_count=len(outcome.loaded.judging.truth),
        notes=outcome.notes,
    )


def point_to_proto(
    outcome: Outcome, measured: Measured, front_names: Sequence[str]
) -> pruner_pb2.Point:
    """Returns the message of a point.

    Args:
        outcome: What was found.
        measured: The point.
        front_names: Names of the points on the front.
    """
    variant, loss = measured.variant, measured.judgement.loss
    costs, original = outcome.costs[variant.name], outcome.costs[ORIGINAL]
    message = pruner_pb2.Point(
        name=variant.name,
        parent=variant.parent,
        method=variant.methods[-1] if variant.methods else "",
        score=measured.judgement.score,
        loss=loss.value,
        loss_low=loss.low,
        loss_high=loss.high,
        size_bytes=variant.built.size_bytes,
        memory_bytes=round(costs.memory_bytes),
        latency_gain=costs.original_latency / costs.latency,
        size_gain=outcome.original.variant.built.size_bytes / variant.built.size_bytes,
        memory_gain=original.memory_bytes / max(costs.memory_bytes, 1.0),
        is_on_front=variant.name in front_names,
        is_within=loss.high <= outcome.most_loss,
        notes=variant.notes,
        parts=[_part(each) for each in variant.parts],
        dropped_columns=variant.dropped,
    )
    if costs.multiplications is not None and original.multiplications is not None:
        message.multiplications = round(costs.multiplications)
        message.multiplications_gain = measured.point.gain(
            outcome.original.point, Gain.MULTIPLICATIONS
        )
    message.latency.FromNanoseconds(round(costs.latency * 1e9))
    message.latency_p99.FromNanoseconds(round(costs.latency_p99 * 1e9))
    return message


def _part(part: PartSize) -> pruner_pb2.PartSize:
    return pruner_pb2.PartSize(
        name=part.name,
        reduction=part.reduction,
        before=part.before,
        after=part.after,
        sensitivity=part.sensitivity,
    )
