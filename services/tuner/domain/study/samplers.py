"""What a study may ask for what to try next, by name."""

from collections.abc import Sequence
from enum import StrEnum

from services.tuner.domain.space.parameter import Choice
from services.tuner.domain.space.space import Space
from services.tuner.domain.study.objective import Objective


class Sampler(StrEnum):
    """Where suggestions come from."""

    FOREST = "forest"
    """A random forest and expected improvement: the suite's own, for any study."""
    TPE = "tpe"
    """Optuna's tree of Parzen estimators (Bergstra et al. 2011), for any study."""
    CMA_ES = "cma_es"
    """Evolution with a covariance matrix (Hansen 2016): numbers and one objective only."""
    RANDOM = "random"
    """Chance, for any study."""


def sampler_flaws(sampler: Sampler, space: Space, objectives: Sequence[Objective]) -> list[str]:
    """Returns why a sampler does not suit a study, in sentences that name the cure."""
    if sampler is not Sampler.CMA_ES:
        return []
    found = []
    if len(objectives) > 1:
        found.append("cma_es knows one objective: take another sampler, or one objective.")
    for each in space.parameters:
        if isinstance(each, Choice):
            found.append(f"cma_es knows numbers only, {each.name} is a choice: take forest or tpe.")
        if each.when is not None:
            found.append(f"cma_es knows no conditions, {each.name} has one: take forest or tpe.")
    return found
