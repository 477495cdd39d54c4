"""Which candidates to try first, by what is known of other sets.

Greedy, as the portfolios of auto-sklearn 2.0 (Feurer et al., 2022): the candidate comes next that
would have gained most for its time on the sets where those before it were not good; sets that are
like the problem count more (Feurer et al., 2015).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from services.tuner.domain.families.family import Family
from services.tuner.domain.portfolio.adapting import adapted
from services.tuner.domain.portfolio.defaults import FIRST, FLOORS, is_table, usual_for
from services.tuner.domain.portfolio.known_set import KnownSet
from services.tuner.domain.portfolio.meta_features import meta_features
from services.tuner.domain.portfolio.similarity import weights_of
from services.tuner.domain.problem import Problem
from services.tuner.domain.space.configuration import Configuration

Known = tuple[str, Configuration]
Regrets = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

MOST_CHOSEN = 12
"""So many are chosen by what is known; usual ones that are not among them follow."""
_SURE = 5
"""So many usual ones, of a family each, come before: blends gain by models that err differently."""
_COST_POWER = 0.25
"""Twice the time for the same gain is 1.2 times as bad: blends gain by what takes its time."""
_LEAST_GAIN = 1e-3
_LEAST_LIKE = 0.12
"""Where no set is at least so like the problem, texts for instance, the usual order stays."""
_LEAST_SECONDS = 0.05


@dataclass
class _Candidate:
    """A candidate as the problem takes it, and its regrets on other sets by their position."""

    family: str
    key: tuple[str, str]
    configuration: Configuration
    regrets: dict[int, list[float]] = field(default_factory=dict)


def first_candidates(
    problem: Problem,
    families: Mapping[str, Family],
    metric: str,
    known: Sequence[KnownSet] | None,
) -> list[Known]:
    """Returns what to try after the floors, in order.

    Args:
        problem: What is to be learned.
        families: Those that fit it, by name.
        metric: What it is judged by.
        known: What is known of other sets; None to know nothing of any: then each family is tried
            with its defaults.
    """
    if known is None:
        return [(name, {}) for name in families]
    if not known or not is_table(problem):
        return list(usual_for(problem))
    weights = weights_of(known, problem.kind, metric, meta_features(problem))
    if weights.max() < _LEAST_LIKE:
        return list(FIRST)
    candidates = _candidates(problem, families, known)
    costs = [families[each.family].cost(problem, each.configuration) for each in candidates]
    regrets = _matrix([each.regrets for each in candidates], len(known))
    sure = _keys(problem, families, (*FLOORS, *FIRST[:_SURE]))
    given = [place for place, each in enumerate(candidates) if each.key in sure]
    order = greedy(regrets, weights, np.array(costs), given)[:MOST_CHOSEN]
    chosen = [(candidates[place].family, candidates[place].configuration) for place in order]
    return [*FIRST[:_SURE], *chosen, *FIRST[_SURE:]]


def greedy(regrets: Regrets, weights: Vector, costs: Vector, given: Sequence[int]) -> list[int]:
    """Returns the candidates that gain something, the one that gains most for its time first.

    Args:
        regrets: (candidates, sets); NaN where a candidate was not tried on a set.
        weights: Of the sets.
        costs: Seconds of each candidate.
        given: Candidates that come before in any case.
    """
    known = np.where(np.isfinite(regrets), regrets, 1.0)
    reached = known[list(given)].min(axis=0, initial=1.0)
    times = np.maximum(costs, _LEAST_SECONDS) ** _COST_POWER
    total, left = float(weights.sum()), set(range(len(known))) - set(given)
    found: list[int] = []
    while left:
        places = sorted(left)
        gains = np.maximum(reached - known[places], 0.0) @ weights
        best = places[int((gains / times[places]).argmax())]
        if gains.max() < _LEAST_GAIN * total:
            break
        found.append(best)
        left.remove(best)
        reached = np.minimum(reached, known[best])
    return found


def _candidates(
    problem: Problem, families: Mapping[str, Family], known: Sequence[KnownSet]
) -> list[_Candidate]:
    """Returns the candidates of all sets; those that are the same for the problem are one."""
    spaces = {name: family.space(problem) for name, family in families.items()}
    found: dict[tuple[str, str], _Candidate] = {}
    by_settings: dict[tuple[str, str], _Candidate] = {}
    for place, each in enumerate(known):
        for score in each.scores:
            if score.family not in families:
                continue
            told = score.family, json.dumps(score.settings, sort_keys=True)
            if told not in by_settings:
                space = spaces[score.family]
                configuration = adapted(space, score.settings)
                key = score.family, space.key(configuration)
                made = found.setdefault(key, _Candidate(score.family, key, configuration))
                by_settings[told] = made
            by_settings[told].regrets.setdefault(place, []).append(score.regret)
    return list(found.values())


def _matrix(regrets: Sequence[Mapping[int, Sequence[float]]], sets: int) -> Regrets:
    matrix = np.full((len(regrets), sets), np.nan)
    for row, own in enumerate(regrets):
        for place, values in own.items():
            matrix[row, place] = np.mean(values)
    return matrix


def _keys(
    problem: Problem, families: Mapping[str, Family], some: Sequence[Known]
) -> set[tuple[str, str]]:
    """Returns what candidates have in common that are the same for the problem."""
    spaces = {name: family.space(problem) for name, family in families.items()}
    return {
        (name, spaces[name].key(adapted(spaces[name], settings)))
        for name, settings in some
        if name in spaces
    }
