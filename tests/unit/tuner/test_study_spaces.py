"""Spaces of any kind: what is drawn, suggested and written down keeps to them."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.constraint import Constraint
from services.tuner.domain.space.expression import Expression
from services.tuner.domain.space.parameter import Choice, Condition, Float, Integer, Parameter
from services.tuner.domain.space.space import Space
from services.tuner.domain.study.objective import Objective
from services.tuner.domain.study.records import TrialRecord
from services.tuner.domain.study.samplers import Sampler
from services.tuner.domain.study.suggesting import suggest

SPACE = Space(
    (
        Float("x", 0.0, 10.0, 5.0),
        Integer("n", 1, 10, 2),
        Choice("kind", ("tree", "line"), "tree"),
        Choice("flag", (True, False), True),
        Choice("level", (1, "one"), 1),
        Integer("depth", 1, 9, 3, when=Condition("kind", ("tree",))),
        Float("prepare.share", 0.0, 1.0, 0.5),
    )
)
LOSS = (Objective("loss"),)


@st.composite
def _numbers(draw: st.DrawFn, name: str) -> Parameter:
    is_log = draw(st.booleans())
    low = draw(st.integers(1 if is_log else -50, 50))
    high = low + draw(st.integers(0, 100))
    step = draw(st.integers(0, 7))
    if draw(st.booleans()):
        return Integer(name, low, high, low, is_log, max(step, 1))
    return Float(name, low / 4, high / 4, low / 4, is_log, step / 8)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Draws spaces with a choice on which some of the numbers depend."""
    values = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True))
    found: list[Parameter] = [Choice("kind", tuple(values), values[0])]
    for place in range(draw(st.integers(1, 4))):
        number = draw(_numbers(f"number_{place}"))
        when = Condition("kind", (draw(st.sampled_from(values)),))
        is_conditional = draw(st.booleans())
        found.append(_with(number, when) if is_conditional else number)
    return Space(tuple(found))


def _with(number: Parameter, when: Condition) -> Parameter:
    assert not isinstance(number, Choice)
    known = (number.name, number.low, number.high, number.default, number.is_log, number.step)
    return type(number)(*known, when=when)  # type: ignore[arg-type]


@settings(max_examples=60)
@given(spaces(), st.integers(0, 99))
def test_what_is_drawn_is_sound_and_comes_back_from_rows(space: Space, seed: int) -> None:
    assert space.flaws() == []
    generator = np.random.default_rng(seed)
    drawn = [space.sample(generator) for _ in range(5)]
    rows = space.encoding.rows(drawn)
    for each, row in zip(drawn, rows, strict=True):
        assert space.problems(each) == []
        assert space.key(space.encoding.configuration(row)) == space.key(each)


@settings(max_examples=25)
@given(spaces(), st.integers(0, 99))
def test_what_is_suggested_is_sound_and_new(space: Space, seed: int) -> None:
    records = [
        TrialRecord(place, each, values=(float(place),))
        for place, each in enumerate(suggest(space, LOSS, (), (), Sampler.RANDOM, seed, 8))
    ]
    for sampler in (Sampler.FOREST, Sampler.RANDOM):
        found = suggest(space, LOSS, records, (), sampler, seed, 3)
        keys = {space.key(each) for each in (*found, *(each.parameters for each in records))}
        assert [space.problems(each) for each in found] == [[], [], []]
        assert len(keys) == min(space.size, 11)


@settings(max_examples=40)
@given(spaces())
def test_log_bounds_and_steps_hold_at_the_ends(space: Space) -> None:
    for parameter in space.parameters:
        for share in (0.0, 1.0):
            value = parameter.at(share)
            assert parameter.at(parameter.share(value)) == value
            if not isinstance(parameter, Choice):
                assert parameter.low <= float(value) <= parameter.high


@pytest.mark.parametrize(
    ("text", "configuration", "holds"),
    [
        ("x * n <= 20", {"x": 4.0, "n": 5}, True),
        ("x * n <= 20", {"x": 4.1, "n": 5}, False),
        ("kind != 'line' or x < 1", {"kind": "line", "x": 2.0}, False),
        ("depth <= n", {"n": 1}, True),
        ("not (flag and x > 3)", {"flag": True, "x": 3.5}, False),
        ("n in (2, 4)", {"n": 4}, True),
        ("n not in [2, 4]", {"n": 4}, False),
        ("1 <= n < x", {"n": 2, "x": 3.0}, True),
        ("max(x, n) - min(x, n) <= 1", {"n": 2, "x": 3.5}, False),
        ("level == 'one'", {"level": "one"}, True),
        ("prepare.share > 0.4", {"prepare.share": 0.5}, True),
        ("1 / x > 0", {"x": 0.0}, False),
        ("log(x) > -9", {"x": 0.0}, False),
        ("x ** n ** 9 ** 9 > 0", {"x": 9.0, "n": 9}, False),
    ],
)
def test_expressions_say_what_they_say_in_python(
    text: str, configuration: Configuration, holds: bool
) -> None:
    assert Expression(text).holds(configuration) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x <", "it cannot be read"),
        ("", "it cannot be read"),
        ("(" * 300 + "x", "it cannot be read"),
        ("x < 1 " + "or x < 1 " * 99, "longer than 500 characters"),
        ("y < 1", "names y: give a parameter"),
        ("x", "is a number: compare it"),
        ("1 < 2", "names no parameters"),
        ("kind < 3", "`kind` is a text, and must be a number"),
        ("kind == 3", "compare what is alike"),
        ("x and flag", "`x` is a number, and must be true or false"),
        ("x in n", "give it as (1, 2)"),
        ("x is n", "compare with one of"),
        ("log(x, 2) < 1", "log is of one number"),
        ("max(x) < 1", "max is of two numbers"),
        ("open('f') == x", "`open` is not known"),
        ("x.__class__ == 1", "names x.__class__"),
        ("[x for x in x] == 1", "is not known"),
    ],
)
def test_flaws_of_expressions_name_the_cure(text: str, said: str) -> None:
    (found,) = Space(SPACE.parameters, (Expression(text),)).flaws()
    assert said in found


@pytest.mark.parametrize(
    "text",
    [
        "x * n <= 20",
        "kind == 'tree' or x > 5 and flag",
        "depth < n and not flag",
        "level != 'one' and prepare.share % 0.5 < 0.3",
        "max(x, n, 3) ** 2 - sqrt(x) > 50 or n in (1, 2, 3)",
        "log(x - 5) < 1",
        "1 / (n - 3) > -0.2",
        "not n % (n - 3) > 2",
        "kind not in ('tree',) or depth > 4",
    ],
)
def test_many_at_once_hold_as_single_ones_do(text: str) -> None:
    constraints: tuple[Constraint, ...] = (Expression(text),)
    encoding = SPACE.encoding
    rows = encoding.drawn(np.random.default_rng(0), 300)
    kept = Space(SPACE.parameters, constraints).encoding.allowed(rows)
    assert 0 < kept.sum() < len(rows)
    assert [constraints[0].holds(encoding.configuration(row)) for row in rows] == list(kept)


@pytest.mark.parametrize("sampler", [Sampler.FOREST, Sampler.RANDOM, Sampler.TPE])
def test_suggestions_keep_what_is_written(sampler: Sampler) -> None:
    space = Space(SPACE.parameters, (Expression("x + n <= 8 and (kind == 'tree' or x < 2)"),))
    records = list[TrialRecord]()
    for place in range(12):
        (found,) = suggest(space, LOSS, records, (), sampler, place)
        assert space.problems(found) == []
        records.append(TrialRecord(place, found, values=(float(found["x"]),)))


def test_a_service_looks_at_spaces_and_records_without_numpy() -> None:
    """Services start without what only their workers need."""
    program = (
        "import sys\n"
        "from services.tuner.domain.space.constraint import Linear\n"
        "from services.tuner.domain.space.expression import Expression\n"
        "from services.tuner.domain.space.parameter import Float\n"
        "from services.tuner.domain.space.space import Space\n"
        "from services.tuner.domain.study import front, pruning, records, samplers\n"
        "space = Space((Float('x', 0, 1, 0.5),), (Expression('x < 0.9'),))\n"
        "assert space.flaws() == [] and space.problems({'x': 0.95}) and space.key(space.default)\n"
        "assert not {'numpy', 'optuna', 'numba'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
