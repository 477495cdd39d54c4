"""Spaces, configurations, and rows of them."""

import json
from collections import Counter

import numpy as np
import pytest

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.constraint import Constraint, Forbidden, Linear
from services.tuner.domain.space.encoding import ABSENT
from services.tuner.domain.space.parameter import Choice, Condition, Float, Integer, Parameter
from services.tuner.domain.space.space import Space, joined

RATE = Float("rate", 1e-3, 1.0, 0.1, is_log=True)
ROUNDS = Integer("rounds", 1, 200, 10, is_log=True)
KIND = Choice("kind", ("tree", "line", "none"), "tree")
SHARE = Float("share", 0.0, 1.0, 0.5, step=0.1, when=Condition("kind", ("tree", "line")))
WIDTH = Integer("width", 0, 100, 10, step=10, when=Condition("kind", ("none",)))
MIXED = Space(
    (RATE, ROUNDS, KIND, SHARE, WIDTH),
    (
        Linear((("rate", 100.0), ("rounds", 1.0)), 120.0),
        Forbidden((("kind", "none"), ("width", 20))),
    ),
)


def _generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_sound_space_has_no_flaws() -> None:
    assert MIXED.flaws() == []


@pytest.mark.parametrize(
    ("parameters", "constraints", "said"),
    [
        ((), (), "no parameters"),
        ((KIND, KIND), (), "kind is there twice"),
        ((Float("", 0, 1, 0),), (), "has no name"),
        ((Float("a", 2, 1, 1),), (), "range of a is empty"),
        ((Float("a", 0, float("inf"), 1),), (), "range of a is not finite"),
        ((Float("a", 0, 1, 1, is_log=True),), (), "a is on a log scale: give a low above 0"),
        ((Float("a", 0, 1, 2),), (), "default of a is 2: give a number from 0 to 1"),
        ((Float("a", 0, 1, 0.25, step=0.1),), (), "in steps of 0.1"),
        ((Float("a", 0, 1, 0, step=-1),), (), "step of a is -1: give 0 or more"),
        ((Integer("a", 0, 9, 1, step=0),), (), "step of a is 0: give 1 or more"),
        ((Choice("a", (), "x"),), (), "a has no values"),
        ((Choice("a", (1, True), 1),), (), "a has equal values"),
        ((Choice("a", ("x",), "y"),), (), "give 'x'"),
        ((SHARE, KIND), (), "share depends on kind: put that parameter before it"),
        ((RATE, Float("a", 0, 1, 0, when=Condition("rate", (0.1,)))), (), "make that a choice"),
        ((KIND, Float("a", 0, 1, 0, when=Condition("kind", ("no",)))), (), "which it never is"),
        ((KIND, Float("a", 0, 1, 0, when=Condition("kind", ()))), (), "a never counts"),
        ((RATE,), (Linear((("other", 1.0),), 1.0),), "names other"),
        ((RATE,), (Linear((), 1.0),), "names no parameters"),
        ((KIND,), (Linear((("kind", 1.0),), 1.0),), "give a number, not a choice"),
        ((RATE,), (Linear((("rate", float("nan")),), 1.0),), "is not finite"),
        ((KIND,), (Forbidden((("kind", "no"),)),), "sets kind to 'no'"),
        ((KIND,), (Forbidden((("kind", "tree"),)),), "The default: kind break the constraint"),
    ],
)
def test_flaws_name_the_parameter_and_the_cure(
    parameters: tuple[Parameter, ...], constraints: tuple[Constraint, ...], said: str
) -> None:
    found = Space(parameters, constraints).flaws()
    assert any(said in each for each in found), found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate": 2.0}, "rate is 2.0: give a number from 0.001 to 1.0."),
        ({"rate": "high"}, "rate is 'high': give a number"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"rate": True}, "rate is True"),
        ({"rounds": 1.5}, "rounds is 1.5: give a whole number from 1 to 200."),
        ({"kind": "bush"}, "kind is 'bush': give 'tree' or 'line' or 'none'."),
        ({"share": 0.25}, "in steps of 0.1"),
        ({"kind": "none"}, "share does not count here: leave it out, or set kind to 'tree' or"),
        ({"kind": "none"}, "width is missing: give a whole number from 0 to 100 in steps of 10."),
        ({"rate": 1.0, "rounds": 100}, "rate, rounds break the constraint 100 * rate + 1 * rounds"),
        ({"other": 1}, "`other` is no parameter of the space: leave it out."),
    ],
)
def test_problems_name_the_parameter_and_the_cure(changes: dict[str, object], said: str) -> None:
    found = MIXED.problems({**MIXED.default, **changes})  # type: ignore[dict-item]
    assert any(said in each for each in found), found


def test_whole_numbers_may_come_as_floats() -> None:
    """Over the wire all numbers are alike."""
    assert MIXED.problems({**MIXED.default, "rounds": 20.0}) == []


def test_samples_and_their_neighbours_are_sound() -> None:
    generator = _generator()
    for _ in range(50):
        one = MIXED.sample(generator)
        assert MIXED.problems(one) == []
        for other in MIXED.neighbours(one, generator):
            assert MIXED.problems(other) == []
            assert MIXED.key(other) != MIXED.key(one)


def test_neighbours_differ_in_one_parameter_and_what_depends_on_it() -> None:
    one = MIXED.default
    for other in MIXED.neighbours(one, _generator()):
        changed = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
        assert len(changed) == 1 or changed <= {"kind", "share", "width"}


def test_all_other_choices_are_neighbours() -> None:
    found = MIXED.neighbours(MIXED.default, _generator())
    assert {each["kind"] for each in found} == {"tree", "line", "none"}


def test_samples_are_found_where_constraints_leave_almost_nothing() -> None:
    floats = tuple(Float(name, 0, 1, 0.001) for name in "abcdefgh")
    space = Space(floats, (Linear(tuple((name, 1.0) for name in "abcdefgh"), 0.05),))
    found = space.sample(_generator())
    assert space.problems(found) == []
    assert found != space.default


@pytest.mark.parametrize(
    "parameter",
    [
        Integer("a", 0, 4, 0),
        Integer("a", 0, 100, 0, step=25),
        Float("a", 0.0, 1.0, 0.0, step=0.25),
        Choice("a", tuple("vwxyz"), "x"),
    ],
)
def test_each_value_has_an_equal_part_of_the_shares(parameter: Parameter) -> None:
    counts = Counter(parameter.at(share) for share in (np.arange(1_000) + 0.5) / 1_000)
    assert sorted(counts.values()) == [200] * 5


@pytest.mark.parametrize("parameter", [RATE, ROUNDS, KIND, SHARE, WIDTH])
def test_shares_lead_back_to_their_values(parameter: Parameter) -> None:
    for share in np.linspace(0, 1, 21):
        value = parameter.at(float(share))
        again = parameter.at(parameter.share(value))
        assert again == (pytest.approx(value) if isinstance(value, float) else value)


def test_steps_give_values_that_can_be_read() -> None:
    assert SHARE.at(0.3) == 0.3


def test_a_high_that_no_step_reaches_is_never_given() -> None:
    assert Float("a", 0.0, 1.0, 0.0, step=0.3).at(1.0) == 0.9
    assert Integer("a", 1, 10, 1, step=4).at(1.0) == 9


def test_vectors_mark_what_does_not_count() -> None:
    vector = MIXED.vector({"rate": 1.0, "rounds": 1, "kind": "none", "width": 0})
    assert vector[0] == 1.0
    assert vector[3] == ABSENT
    assert 0 < vector[4] < 0.1


def test_rows_stand_for_their_configurations() -> None:
    generator = _generator()
    configurations = [MIXED.sample(generator) for _ in range(50)]
    rows = MIXED.encoding.rows(configurations)
    again = [MIXED.encoding.configuration(row) for row in rows]
    for one, other in zip(configurations, again, strict=True):
        assert one == pytest.approx(other) if "kind" not in one else one.keys() == other.keys()
        assert MIXED.key(other) == MIXED.key(MIXED.encoding.configuration(MIXED.vector(one)))
    assert MIXED.encoding.keys(rows) == MIXED.encoding.keys(MIXED.encoding.rows(again))


def test_equal_configurations_have_one_key() -> None:
    one: Configuration = {"rate": 0.1, "rounds": 10, "kind": "tree", "share": 0.3}
    other: Configuration = {"share": 0.1 + 0.2, "kind": "tree", "rounds": 10.0, "rate": 0.1}
    assert MIXED.key(one) == MIXED.key(other)
    assert json.loads(MIXED.key(one)) == one
    assert MIXED.key(one) != MIXED.key({**one, "rate": 0.11})


def test_size_counts_what_conditions_leave() -> None:
    space = Space((KIND, SHARE, WIDTH, Choice("other", (True, False), True)))
    assert space.size == (11 + 11 + 11) * 2
    assert len({space.key(each) for each in space.enumerated()}) == space.size
    assert MIXED.size == float("inf")


def test_enumeration_keeps_constraints() -> None:
    space = Space((KIND, SHARE, WIDTH), MIXED.constraints[1:])
    assert sum(1 for _ in space.enumerated()) == space.size - 1


def test_joined_and_completed_spaces_keep_defaults() -> None:
    space = joined([KIND], [SHARE, WIDTH])
    assert space.completed({"kind": "none"}) == {"kind": "none", "width": 10}
