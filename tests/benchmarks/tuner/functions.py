"""Functions of mixed parameters whose best values are known or do not matter."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Condition, Float, Integer, Parameter
from services.tuner.domain.space.space import Space


@dataclass(frozen=True)
class TestFunction:
    """Something to minimise.

    Attributes:
        name: Unique.
        space: Of its parameters.
        value: Without noise.
        noise: Standard deviation of what is told beyond the value.
    """

    name: str
    space: Space
    value: Callable[[Configuration], float]
    noise: float = 0.0


def fingerprint() -> str:
    """Returns what changes when a function does."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


def _numbers(configuration: Configuration, *names: str) -> npt.NDArray[np.float64]:
    return np.array([float(configuration[name]) for name in names])


def _branin(configuration: Configuration) -> float:
    x, y = _numbers(configuration, "x", "y")
    bend = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return float(bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


_HARTMANN_SCALES = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_HARTMANN_CENTRES = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
_SIX = ("a", "b", "c", "d", "e", "f")


def _hartmann(configuration: Configuration) -> float:
    apart = (_numbers(configuration, *_SIX) - _HARTMANN_CENTRES) ** 2
    depths = np.exp(-(_HARTMANN_SCALES * apart).sum(axis=1))
    return float(-np.array([1.0, 1.2, 3.0, 3.2]) @ depths)


def _rosenbrock(configuration: Configuration) -> float:
    point = _numbers(configuration, "a", "b", "c", "d")
    return float((100 * (point[1:] - point[:-1] ** 2) ** 2 + (1 - point[:-1]) ** 2).sum())


_SHIFTS = {
    "one": ((3.0, -7.0, 1.5, 4.0), 0.0),
    "two": ((-6.0, 2.0, 8.0, -1.0), 1.5),
    "three": ((5.0, 5.0, -5.0, -5.0), 3.0),
    "four": ((0.0, 9.0, -2.0, 6.0), 4.5),
}


def _ackley(configuration: Configuration) -> float:
    shift, more = _SHIFTS[str(configuration["where"])]
    point = _numbers(configuration, "a", "b", "c", "d") - np.array(shift)
    far = -20 * math.exp(-0.2 * math.sqrt(float((point**2).mean())))
    return far - math.exp(float(np.cos(2 * math.pi * point).mean())) + 20 + math.e + more


def _models(configuration: Configuration) -> float:
    """Returns an error as of models with settings of their own."""
    scaled = {"none": 0.04, "standard": 0.0, "ranks": 0.015}[str(configuration["scaling"])]
    if configuration["family"] == "machine":
        return _machine(configuration) + scaled
    if configuration["family"] == "forest":
        return _forest(configuration) + scaled / 10
    strength = math.log10(float(configuration["penalty"]))
    return 0.17 + 0.01 * (strength + 1) ** 2 + scaled


def _machine(configuration: Configuration) -> float:
    penalty = math.log10(float(configuration["cost"]))
    if configuration["kernel"] == "linear":
        return 0.16 + 0.008 * (penalty - 0.5) ** 2
    width = math.log10(float(configuration["gamma"]))
    ridge = penalty + 0.8 * width + 0.7
    valley = 0.012 * ridge**2 + 0.02 * (width + 2.2) ** 2
    return 0.08 + 0.35 * (1 - math.exp(-valley * 3))


def _forest(configuration: Configuration) -> float:
    trees, depth = float(configuration["trees"]), float(configuration["depth"])
    share, leaf = float(configuration["share"]), float(configuration["leaf"])
    fit = 0.25 * math.exp(-depth / 4) + 0.03 * math.log(leaf) ** 2 / 4
    return 0.095 + fit + 0.4 / trees + 0.1 * (share - 0.35) ** 2 + 0.0004 * max(depth - 15, 0)


def _levy(configuration: Configuration) -> float:
    point = 1 + (_numbers(configuration, "a", "b", "c", "d", "e") - 1) / 4
    first = math.sin(math.pi * point[0]) ** 2
    inner = (point[:-1] - 1) ** 2 * (1 + 10 * np.sin(math.pi * point[:-1] + 1) ** 2)
    last = (point[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * point[-1]) ** 2)
    return float(first + inner.sum() + last)


def _floats(names: str, low: float, high: float, default: float) -> tuple[Float, ...]:
    return tuple(Float(name, low, high, default) for name in names)


def _model_space() -> Space:
    machine, forest = Condition("family", ("machine",)), Condition("family", ("forest",))
    return Space(
        (
            Choice("family", ("linear", "machine", "forest"), "linear"),
            Choice("scaling", ("none", "standard", "ranks"), "none"),
            Float("penalty", 1e-4, 1e3, 1.0, is_log=True, when=Condition("family", ("linear",))),
            Choice("kernel", ("linear", "radial"), "linear", when=machine),
            Float("cost", 1e-3, 1e4, 1.0, is_log=True, when=machine),
            Float("gamma", 1e-5, 1e1, 0.1, is_log=True, when=Condition("kernel", ("radial",))),
            Integer("trees", 10, 500, 100, is_log=True, when=forest),
            Integer("depth", 1, 30, 10, when=forest),
            Integer("leaf", 1, 100, 5, is_log=True, when=forest),
            Float("share", 0.05, 1.0, 1.0, step=0.05, when=forest),
        )
    )


def functions() -> tuple[TestFunction, ...]:
    """Returns six functions; defaults are not near the best."""
    mixed: tuple[Parameter, ...] = (
        *_floats("ac", -5, 10, 4.0),
        Integer("b", -5, 10, 4),
        Integer("d", -5, 10, 4),
    )
    where = Choice("where", tuple(_SHIFTS), "four")
    return (
        TestFunction("Branin", Space((Float("x", -5, 10, 0.0), Float("y", 0, 15, 7.5))), _branin),
        TestFunction("Hartmann6", Space(_floats("abcdef", 0, 1, 0.5)), _hartmann),
        TestFunction("Rosenbrock, half of it integers", Space(mixed), _rosenbrock),
        TestFunction(
            "Ackley, shifted by a choice", Space((where, *_floats("abcd", -10, 10, 0.0))), _ackley
        ),
        TestFunction("models, conditional", _model_space(), _models),
        TestFunction("Levy5, noisy", Space(_floats("abcde", -10, 10, 5.0)), _levy, noise=1.0),
    )
