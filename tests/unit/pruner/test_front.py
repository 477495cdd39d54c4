"""Which point is recommended: the most gain that surely loses no more than is accepted."""

import dataclasses
import math

from hypothesis import given
from hypothesis import strategies as st

from services.pruner.domain.front import Gain, Interval, Point, front, recommended


def point(name: str, loss: float, latency: float, size: float = 1.0, error: float = 0.0) -> Point:
    costs = {Gain.LATENCY: latency, Gain.SIZE: size}
    return Point(name, Interval(loss, loss - error, loss + error), costs, order=loss + error)


ORIGINAL = point("original", 0.0, 10.0, 10.0)
POINTS = [
    ORIGINAL,
    point("int8", 0.001, 5.0, 2.5),
    point("half", 0.004, 4.0, 5.0, error=0.004),
    point("half_int8", 0.02, 2.0, 1.2),
]


def test_what_is_recommended_surely_keeps_the_bound_and_the_reasons_name_its_neighbours() -> None:
    found = recommended(POINTS, ORIGINAL, Gain.LATENCY, 0.005)
    assert found.point.name == "int8", "half may lose 0.008"
    assert found.is_within
    assert found.reasons[0].startswith("int8 has 2.00 times less latency; it loses 0.001")
    assert "half would have 2.50 times less latency, and may lose too much" in found.reasons[1]
    wider = recommended(POINTS, ORIGINAL, Gain.LATENCY, 0.01)
    assert wider.point.name == "half"
    assert "half_int8 would have 5.00 times less latency, but loses 0.02" in wider.reasons[1]
    assert "int8 has only 2.00 times less latency; what it loses less" in wider.reasons[2]
    assert recommended(POINTS, ORIGINAL, Gain.SIZE, 0.01).point.name == "int8"


def test_a_bound_that_cannot_be_kept_gives_the_nearest_and_says_so() -> None:
    found = recommended(POINTS, ORIGINAL, Gain.LATENCY, 0.0005)
    assert (found.point.name, found.is_within) == ("int8", False)
    assert found.reasons == (
        "No point loses surely no more than 0.0005. Nearest is int8 with 0.001 (0.001 to 0.001) "
        "and 2.00 times less latency.",
    )
    alone = recommended([ORIGINAL], ORIGINAL, Gain.LATENCY, 0.01)
    assert (alone.point, alone.is_within) == (ORIGINAL, True)
    slower = recommended([point("slower", 0.0, 12.0)], ORIGINAL, Gain.LATENCY, 0.01)
    assert slower.point is ORIGINAL
    assert slower.reasons == ("Nothing within the bound has less latency.",)


def test_nobody_gives_quality_for_a_gain_that_nobody_notices() -> None:
    """A hundredth of the latency may be chance; the original is taken then, within or not."""
    hardly = point("hardly", 0.03, 9.9)
    found = recommended([ORIGINAL, hardly], ORIGINAL, Gain.LATENCY, 0.005)
    assert (found.point, found.is_within) == (ORIGINAL, True)
    assert found.reasons == ("Nothing with less latency was found.",)
    as_good = recommended([ORIGINAL, point("as good", 0.0, 9.9)], ORIGINAL, Gain.LATENCY, 0.005)
    assert as_good.point is ORIGINAL
    farther = point("farther", 0.05, 5.0)
    both = recommended([ORIGINAL, hardly, farther], ORIGINAL, Gain.LATENCY, 0.005)
    assert (both.point, both.is_within) == (farther, False)


def test_points_are_tested_in_an_order_of_their_own_until_one_fails() -> None:
    """Of many points one keeps the bound by chance: the first failure ends the sequence."""
    lucky = point("lucky", 0.004, 1.0)
    first, bad, late = (
        dataclasses.replace(each, order=float(place))
        for place, each in enumerate((POINTS[1], point("bad", 0.03, 1.5), lucky))
    )
    found = recommended([ORIGINAL, late, bad, first], ORIGINAL, Gain.LATENCY, 0.005)
    assert found.point.name == "int8"
    assert "lucky would have 10.00 times less latency" in found.reasons[1]
    assert "others that seemed safer may lose too much" in found.reasons[1]


_NUMBERS = st.tuples(*[st.sampled_from([0.0, 1.0, 2.0, 3.0])] * 3)


@given(st.lists(_NUMBERS, min_size=1, max_size=12))
def test_nobody_would_rather_have_another_point_than_one_of_the_front(
    numbers: list[tuple[float, float, float]],
) -> None:
    points = [point(str(at), *each) for at, each in enumerate(numbers)]
    found = front(points)
    assert found
    for each in points:
        no_worse = [
            other
            for other in found
            if other.loss.value <= each.loss.value
            and all(other.costs[gain] <= each.costs[gain] for gain in each.costs)
        ]
        assert no_worse, "what is left out is beaten by, or the same as, one of the front"
    assert all(math.isfinite(each.loss.value) for each in found)
