"""From what contenders reached on tables to measures with aims."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from tests.benchmarks.harness import Aim, Measure, say
from tests.benchmarks.tuner.table_rivals import AUTOGLUON, CONTENDERS, FLOORS, OURS
from tests.benchmarks.tuner.table_running import Outcome

Floats = npt.NDArray[np.float64]
Results = Mapping[str, Sequence[Outcome]]
"""By contender: outcomes, of the same tables and seeds in the same order; ours is the first."""

_MAIN = 60
"""Seconds of the budget that most aims are for."""
_TINY = 1e-6
_BUDGETED = frozenset(each.name for each in CONTENDERS if each.has_budget)
_FLOORS = frozenset(each.name for each in FLOORS)


@dataclass(frozen=True)
class Standing:
    """How contenders stand to each other, each an array in their order.

    Attributes:
        ranks: Mean ranks.
        wins: Shares of the cases in which nobody is better.
        beaten: Shares of the cases in which ours is better; half of one where both are alike.
        relative: Losses relative to the smallest of the case, (contenders, cases); NaN of those
            that failed.
        to_floor: The same relative to the better floor.
    """

    ranks: Floats
    wins: Floats
    beaten: Floats
    relative: Floats
    to_floor: Floats


def standing_of(losses: Floats, floors: Sequence[int]) -> Standing:
    """Returns how contenders stand to each other.

    Args:
        losses: (Contenders, cases), ours first; infinite where one failed.
        floors: Positions of the floors.
    """
    best = losses.min(axis=0)
    better = (losses[0] < losses) + 0.5 * (losses[0] == losses)
    return Standing(
        ranks=rankdata(losses, axis=0).mean(axis=1),
        wins=(losses == best).mean(axis=1),
        beaten=better.mean(axis=1),
        relative=_relative(losses, best),
        to_floor=_relative(losses, losses[list(floors)].min(axis=0)),
    )


def measures_of(found: Results, seconds: int) -> list[Measure]:
    """Returns the measures at a budget."""
    names = list(found)
    losses = np.array([[each.loss for each in outcomes] for outcomes in found.values()])
    standing = standing_of(losses, [names.index(name) for name in names if name in _FLOORS])
    for place, name in enumerate(names):
        say(f"  {_summary(name, standing, place, found[name], seconds)}")
    at = f"{seconds} s: "
    return [
        *_ranked(at, names, standing, is_main=seconds == _MAIN),
        *_losses(at, standing, is_main=seconds == _MAIN),
        *_spent(at, found, seconds),
        *_trials(at, found),
    ]


def _ranked(at: str, names: Sequence[str], standing: Standing, *, is_main: bool) -> list[Measure]:
    ranks, wins = standing.ranks.tolist(), standing.wins.tolist()
    found = [
        Measure.of(f"{at}mean rank, theirs {name}", ranks[0], rank, Aim(ratio=1.0))
        for name, rank in zip(names[1:], ranks[1:], strict=True)
    ]
    aim = Aim(at_least=1 / 3) if is_main else None
    found.append(Measure.of(f"{at}share of wins, theirs the most", wins[0], max(wins[1:]), aim))
    for name, share in zip(names[1:], standing.beaten[1:], strict=True):
        aim = Aim(at_least=0.5 if name == AUTOGLUON.name else 0.6) if is_main else None
        found.append(Measure.of(f"{at}better than {name}, share of sets", float(share), aim=aim))
    return found


def _losses(at: str, standing: Standing, *, is_main: bool) -> list[Measure]:
    means = [_over(np.mean, each) for each in standing.relative]
    worst = [_over(np.max, each) for each in standing.relative]
    failed = int(np.isnan(standing.relative[0]).sum())
    return [
        Measure.of(
            f"{at}loss relative to the best one's, mean, theirs the least",
            means[0],
            min(means[1:]),
            Aim(at_most=1.1) if is_main else None,
        ),
        Measure.of(
            f"{at}the same, worst set",
            worst[0],
            min(worst[1:]),
            Aim(at_most=1.5) if is_main else None,
        ),
        Measure.of(
            f"{at}loss relative to the better floor's, worst set",
            _over(np.max, standing.to_floor[0]),
            aim=Aim(at_most=1.01),
        ),
        Measure.of(f"{at}sets without a result", failed, aim=Aim(at_most=0)),
    ]


def _spent(at: str, found: Results, seconds: int) -> list[Measure]:
    """Compares with those that take a budget."""
    rivals = [found[name] for name in found if name in _BUDGETED and name != OURS.name]

    def measure(text: str, of: str, *, is_time: bool, aim: Aim | None = None) -> Measure:
        def worst(outcomes: Sequence[Outcome]) -> float:
            most = max((float(getattr(each, of)) for each in _ended(outcomes)), default=math.inf)
            return 100 * (most / seconds - 1) if is_time else most

        theirs = min((worst(each) for each in rivals), default=None)
        return Measure.of(
            f"{at}{text}, worst, theirs the least", worst(found[OURS.name]), theirs, aim
        )

    return [
        measure("time beyond the budget, %", "seconds", is_time=True, aim=Aim(at_most=5)),
        measure("the same without imports", "own_seconds", is_time=True),
        measure("memory, MB", "proportional", is_time=False, aim=Aim(at_most=700)),
        measure("the same, shared pages for each", "resident", is_time=False),
    ]


def _ended(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [each for each in outcomes if not each.failure]


def _trials(at: str, found: Results) -> list[Measure]:
    shares = {name: _scored(outcomes) for name, outcomes in found.items()}
    others = [share for name, share in shares.items() if name != OURS.name and share is not None]
    first = [each.told["first"] for each in found[OURS.name] if "first" in each.told]
    return [
        Measure.of(
            f"{at}share of trials with a score, theirs auto-sklearn's",
            shares[OURS.name],
            others[0] if others else None,
            Aim(at_least=0.95),
        ),
        Measure.of(
            f"{at}Create to the first model, s, worst", max(first, default=None), aim=Aim(at_most=5)
        ),
    ]


def _scored(outcomes: Sequence[Outcome]) -> float | None:
    trials = sum(each.told.get("trials", 0) for each in outcomes)
    return sum(each.told.get("scored", 0) for each in outcomes) / trials if trials else None


def _summary(
    name: str, standing: Standing, place: int, outcomes: Sequence[Outcome], seconds: int
) -> str:
    relative, failures = standing.relative[place], len(outcomes) - len(_ended(outcomes))
    return (
        f"{name}: mean rank {standing.ranks[place]:.2f}, wins {standing.wins[place]:.0%}, "
        f"relative loss {_over(np.mean, relative):.2f}, worst {_over(np.max, relative):.2f}, "
        f"against the floor {_over(np.max, standing.to_floor[place]):.2f}; "
        f"{max(each.seconds for each in outcomes):.1f} s, "
        f"{max(each.proportional for each in outcomes):.0f} MB, {failures} failed"
    )


def _over(reduce: Callable[[Floats], float], values: Floats) -> float:
    """Returns the mean or the like of the values that are there; infinite where none is."""
    present = values[~np.isnan(values)]
    return float(reduce(present)) if len(present) else math.inf


def _relative(losses: Floats, to: Floats) -> Floats:
    ratios = (losses + _TINY) / (to + _TINY)
    return np.where(np.isfinite(ratios), ratios, np.nan)
