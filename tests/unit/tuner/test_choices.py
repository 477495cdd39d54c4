"""What hangs on each setting of a search."""

from collections.abc import Callable

import numpy as np
import pytest

from services.tuner.domain.choices import Choices, important_choices
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Condition, Float, Integer
from services.tuner.domain.space.space import Space
from services.tuner.domain.surrogate.history import Told

SPACE = Space(
    (
        Choice("family", ("trees", "lines", "none"), "trees"),
        Float("rate", 1e-3, 1.0, 0.1, is_log=True),
        Integer("depth", 1, 12, 6, when=Condition("family", ("trees",))),
        Choice("is_scaled", (True, False), True),
    )
)


def shares(found: Choices | None) -> dict[str, float]:
    """Returns the shares by name."""
    assert found is not None
    return {each.name: each.share for each in found.choices}


def searched(loss: Callable[[Configuration], float], trials: int = 80) -> list[Told]:
    """Returns trials at random."""
    generator = np.random.default_rng(1)
    tried = [SPACE.sample(generator) for _ in range(trials)]
    return [Told(each, loss(each)) for each in tried]


def test_a_setting_that_alone_decides_has_nearly_all() -> None:
    told = searched(lambda each: (np.log10(float(each["rate"])) + 1) ** 2)
    found = important_choices(SPACE, told)
    assert found is not None
    assert found.choices[0].name == "rate"
    assert found.choices[0].share > 0.85
    assert 0.03 < float(found.choices[0].best) < 0.3
    assert found.foretold > 0.7
    assert found.together < 0.15


def test_a_setting_counts_where_its_parent_lets_it() -> None:
    """The family decides most; depth matters within one family only."""

    def loss(each: Configuration) -> float:
        return float(each["depth"]) / 30 if each["family"] == "trees" else 1.0

    found = shares(important_choices(SPACE, searched(loss)))
    assert found["family"] > 0.6
    assert 0.03 < found["depth"] < 0.4
    assert found["rate"] + found["is_scaled"] < 0.1


def test_what_two_settings_do_together_belongs_to_neither() -> None:
    told = searched(
        lambda each: float((each["rate"] > 0.03) == each["is_scaled"]),  # type: ignore[operator]
        trials=150,
    )
    found = important_choices(SPACE, told)
    assert found is not None
    assert found.together > 0.6


def test_noise_is_not_foretold() -> None:
    noise = np.random.default_rng(2)
    found = important_choices(SPACE, searched(lambda _: float(noise.normal())))
    assert found is not None
    assert found.foretold < 0.1


def test_a_few_huge_losses_do_not_count_for_all() -> None:
    """Failed trials and losses without bound leave the rest as it is."""

    def loss(each: Configuration) -> float:
        if each["family"] == "none":
            return float("inf") if each["is_scaled"] else 1e200
        return float(np.log10(float(each["rate"])))

    assert shares(important_choices(SPACE, searched(loss, 120)))["rate"] > 0.2


@pytest.mark.parametrize("trials", [0, 3])
def test_few_trials_tell_nothing(trials: int) -> None:
    assert important_choices(SPACE, searched(lambda each: float(each["rate"]), trials)) is None


def test_equal_losses_tell_nothing() -> None:
    assert important_choices(SPACE, searched(lambda _: 1.0)) is None


def test_the_same_trials_tell_the_same() -> None:
    told = searched(lambda each: float(each["rate"]))
    assert important_choices(SPACE, told) == important_choices(SPACE, told)
