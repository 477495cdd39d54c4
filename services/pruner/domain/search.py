"""The way from a model to smaller ones: methods one after the other, each from the best so far."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.pruner.domain.front import Gain, Point
from services.pruner.domain.judging import Judgement
from services.pruner.domain.methods import METHODS, Method
from services.pruner.domain.variants import ORIGINAL, Variant

_MOST_ROUNDS = 3


@dataclass(frozen=True)
class Measured:
    """A variant with what was measured of it.

    Attributes:
        variant: It.
        judgement: How good it is.
        point: The same with its costs, to be compared.
    """

    variant: Variant
    judgement: Judgement
    point: Point


@dataclass(frozen=True)
class Step:
    """A method that is applied to a variant.

    Attributes:
        base: Name of the variant.
        method: Name of the method.
    """

    base: str
    method: str


class Work(Protocol):
    """Where the work is done, and kept."""

    def done(self, step: Step) -> Sequence[Measured] | None:
        """Returns what came of a step in an attempt before; None where it was not done."""
        ...

    def do(self, step: Step, base: Variant) -> Sequence[Measured]:
        """Does a step and keeps what came of it."""
        ...


@dataclass(frozen=True)
class Goal:
    """What is to be reached.

    Attributes:
        gain: What is to become smaller.
        most_loss: That is accepted.
        methods: That may be used, in order.
    """

    gain: Gain
    most_loss: float
    methods: Sequence[str]


@dataclass(frozen=True)
class Searched:
    """What came of a search.

    Attributes:
        found: All that was measured, the original first.
        untried: The step that the time did not suffice for, after which nothing was tried; None
            where all was.
    """

    found: list[Measured]
    untried: Step | None = None


def search(original: Measured, goal: Goal, work: Work, is_over: Callable[[], bool]) -> Searched:
    """Returns what was measured.

    In the first round every method is tried on the original; in the next ones on the variant that
    gains most within the bound on the rows that variants are chosen by, with the methods that have
    not made it yet. It ends when no other variant gains more, or the time is over.

    Args:
        original: The model as it was.
        goal: What is to be reached.
        work: Does it.
        is_over: Whether nothing more is to be begun.
    """
    found: dict[str, Measured] = {original.variant.name: original}
    base, tried = original, set[str]()
    for _ in range(_MOST_ROUNDS):
        tried.add(base.variant.name)
        for step in _steps(base.variant, goal.methods):
            known = work.done(step)
            if known is None and is_over():
                return Searched(list(found.values()), step)
            known = work.do(step, base.variant) if known is None else known
            found |= _new(known, found)
        best = _best(found.values(), original, goal)
        if best.variant.name in tried:
            break
        base = best
    return Searched(list(found.values()))


def _steps(variant: Variant, methods: Iterable[str]) -> list[Step]:
    """Returns the methods that have not made a variant, and fit it: it may be an ONNX model now."""
    fitting = (each for each in methods if _fits(METHODS[each], variant))
    return [Step(variant.name, each) for each in fitting if each not in variant.methods]


def _fits(method: Method, variant: Variant) -> bool:
    is_later = variant.name != ORIGINAL
    return variant.built.format in method.formats and not (is_later and method.of_original)


def _new(made: Iterable[Measured], known: Mapping[str, Measured]) -> dict[str, Measured]:
    return {each.variant.name: each for each in made if each.variant.name not in known}


def _best(found: Iterable[Measured], original: Measured, goal: Goal) -> Measured:
    """Returns the variant that gains most within the bound, as far as choosing rows tell."""
    within = [each for each in found if each.judgement.choosing_loss.value <= goal.most_loss]
    return max(within, key=lambda each: each.point.gain(original.point, goal.gain))
