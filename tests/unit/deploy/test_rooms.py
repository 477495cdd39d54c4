"""The picture of the rooms."""

import pytest

from deploy import rooms


def test_arrows_that_others_stand_for_are_left_out() -> None:
    """Protects a picture that can be read, and from which all can still be told."""
    found = {("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("a", "d"), ("e", "c")}
    assert rooms.without_detours(found) == {("a", "b"), ("b", "c"), ("c", "d"), ("e", "c")}


def test_a_circle_is_told() -> None:
    """Protects the order of the rooms: who imports whom must have an end."""
    with pytest.raises(ValueError, match="circle: a -> b -> c -> a"):
        rooms.without_detours({("a", "b"), ("b", "c"), ("c", "a")})


def test_services_lie_above_what_they_share() -> None:
    """Protects the picture of the code as it is: no arrow leads to a service."""
    found = rooms.arrows()
    assert {"trainer", "catalog"} <= {start for start, _ in found}
    assert not {"trainer", "catalog", "tuner"} & {end for _, end in found}


def test_only_the_picture_is_drawn_anew() -> None:
    """Protects the page's text."""
    page = f"before\n{rooms.BEGIN}old\n{rooms.END}after\n"
    new = rooms.with_picture(page)
    assert new.startswith("before\n") and new.endswith("after\n") and "old" not in new
    assert rooms.with_picture(new) == new
