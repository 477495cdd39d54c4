"""What was measured, what of it nobody would rather not have, and which one to take."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile


class Gain(StrEnum):
    """What is to become smaller."""

    LATENCY = "latency"
    SIZE = "size"
    MEMORY = "memory"
    MULTIPLICATIONS = "multiplications"


_NOTICED = 1.02
"""A gain that is no larger may be chance of a measurement."""


@dataclass(frozen=True)
class Interval:
    """A number as far as rows tell.

    Attributes:
        value: The estimate.
        low: It is hardly less.
        high: It is hardly more.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """A model that was measured.

    Attributes:
        name: For instance `half_width_int8`.
        loss: How much worse its score is than the original's, in the model's own metric, on rows
            that it was not chosen by; below 0 where it is better.
        costs: What it takes, by what is to become smaller; of latency the median.
        order: Where it stands among those that are tested, the smallest first: what other rows tell
            of its loss.
    """

    name: str
    loss: Interval
    costs: dict[Gain, float]
    order: float = 0.0

    def gain(self, original: "Point", gain: Gain) -> float:
        """Returns how many times less it takes than the original."""
        return original.costs[gain] / max(self.costs[gain], 1e-12)


@dataclass(frozen=True)
class Recommended:
    """The point to take.

    Attributes:
        point: It.
        is_within: Whether its loss is within the bound with confidence.
        reasons: Why it, and why not its neighbours; whole sentences.
    """

    point: Point
    is_within: bool
    reasons: tuple[str, ...]


def front(points: Sequence[Point]) -> list[Point]:
    """Returns the points of which no other is as good in everything and better in something."""
    return [each for each in points if not any(_is_better(other, each) for other in points)]


def _is_better(one: Point, other: Point) -> bool:
    """Whether a point is nowhere worse and somewhere better."""
    pairs = [(one.loss.value, other.loss.value)]
    known = one.costs.keys() & other.costs.keys()  # multiplications of trees are not
    pairs += [(one.costs[each], other.costs[each]) for each in known]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def recommended(
    points: Sequence[Point], original: Point, wanted: Gain, most_loss: float
) -> Recommended:
    """Returns the point that gains most among those that lose no more than is accepted.

    A loss is accepted where the whole interval is: what rows do not tell counts against a point.
    Points are tested in an order that these rows have no part in, until the first one fails: so the
    confidence of the intervals is that of the choice, however many points there are (fixed-sequence
    testing; Angelopoulos et al., Learn then test, 2021). Where none is accepted, the point is taken
    whose loss is nearest to it. What gains next to nothing is no reason to leave the original.

    Args:
        points: All that was measured, the original among them or not.
        original: The model as it was.
        wanted: What is to become smaller.
        most_loss: Accepted loss of the metric.
    """
    others = [each for each in points if each is not original]
    in_order = sorted(others, key=lambda each: each.order)
    accepted = list(takewhile(lambda each: each.loss.high <= most_loss, in_order))
    if not accepted:
        gaining = [each for each in others if each.gain(original, wanted) > _NOTICED]
        if not gaining:
            return Recommended(original, True, (f"Nothing with less {wanted} was found.",))
        nearest = min(gaining, key=lambda each: each.loss.high)
        return Recommended(nearest, False, (_out_of_reach(nearest, original, wanted, most_loss),))
    best = max(accepted, key=lambda each: (each.gain(original, wanted), -each.loss.value))
    if best.gain(original, wanted) <= _NOTICED:
        return Recommended(original, True, (f"Nothing within the bound has less {wanted}.",))
    reasons = [_within(best, original, wanted, most_loss)]
    ranked = sorted(front([*others]), key=lambda each: each.gain(original, wanted))
    more = [each for each in ranked if each.gain(original, wanted) > best.gain(original, wanted)]
    less = [each for each in ranked if each.gain(original, wanted) < best.gain(original, wanted)]
    if more:
        reasons.append(_why_not_more(more[0], original, wanted, most_loss))
    if less:
        reasons.append(_why_not_less(less[-1], best, original, wanted))
    return Recommended(best, True, tuple(reasons))


def _within(point: Point, original: Point, wanted: Gain, most_loss: float) -> str:
    return (
        f"{point.name} has {point.gain(original, wanted):.2f} times less {wanted}; it loses "
        f"{_amount(point.loss)}, of which {most_loss:g} is accepted."
    )


def _out_of_reach(point: Point, original: Point, wanted: Gain, most_loss: float) -> str:
    return (
        f"No point loses surely no more than {most_loss:g}. Nearest is {point.name} with "
        f"{_amount(point.loss)} and {point.gain(original, wanted):.2f} times less {wanted}."
    )


def _why_not_more(point: Point, original: Point, wanted: Gain, most_loss: float) -> str:
    gain = f"{point.name} would have {point.gain(original, wanted):.2f} times less {wanted}"
    if point.loss.value > most_loss:
        return f"{gain}, but loses {_amount(point.loss)}."
    if point.loss.high <= most_loss:
        return f"{gain} at {_amount(point.loss)}, but others that seemed safer may lose too much."
    return f"{gain}, and may lose too much: {_amount(point.loss)}."


def _why_not_less(point: Point, best: Point, original: Point, wanted: Gain) -> str:
    gain = point.gain(original, wanted)
    start = f"{point.name} has only {gain:.2f} times less {wanted}"
    if point.loss.value >= best.loss.value:
        return f"{start} and loses no less: {_amount(point.loss)}."
    return f"{start}; what it loses less ({_amount(point.loss)}) is not asked for."


def _amount(loss: Interval) -> str:
    return f"{loss.value:.4g} ({loss.low:.4g} to {loss.high:.4g})"
