"""Optuna's tree of Parzen estimators, told anew of each record."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.space.parameter import Choice, Integer, Parameter
from services.tuner.domain.space.space import Space
from services.tuner.domain.study.objective import Objective
from services.tuner.domain.study.records import TrialRecord, TrialState

_CONSTRAINTS = "constraints"


def parzen(
    space: Space,
    objectives: Sequence[Objective],
    records: Sequence[TrialRecord],
    pending: Sequence[Configuration],
    seed: int,
) -> Iterator[Configuration]:
    """Yields what Optuna suggests, each pending for the next; what is known may come again.

    Args:
        space: Without flaws; its constraints are for the caller to keep.
        objectives: Without flaws.
        records: Those that ended, in order.
        pending: Parameters of trials that have not ended.
        seed: Of all chance.
    """
    optuna: Any = import_module("optuna")
    logging.getLogger("optuna").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = _Told(optuna, space, objectives)
        has_violations = any(each.violations for each in records)
        sampler = optuna.samplers.TPESampler(
            seed=seed % 2**32,
            constant_liar=True,
            constraints_func=_violations if has_violations else None,
        )
        study = optuna.create_study(
            sampler=sampler, directions=[each.direction.value for each in objectives]
        )
        study.add_trials([told.ended(each) for each in records])
        study.add_trials([told.running(each) for each in pending])
    while True:
        yield _suggested(study.ask(), space)


class _Told:
    """Turns records into Optuna's trials."""

    def __init__(self, optuna: Any, space: Space, objectives: Sequence[Objective]) -> None:
        self._optuna, self._objectives = optuna, objectives
        self._distributions = {each.name: _distribution(optuna, each) for each in space.parameters}
        self._parameters = {each.name: each for each in space.parameters}

    def ended(self, record: TrialRecord) -> Any:
        states = self._optuna.trial.TrialState
        is_pruned = record.state is TrialState.PRUNED and len(self._objectives) == 1
        has_values = len(record.values) == len(self._objectives)
        state = states.PRUNED if is_pruned else states.COMPLETE if has_values else states.FAIL
        violations = list(record.violations) or [0.0]
        return self._made(
            record.parameters,
            state=state,
            values=list(record.values) if state == states.COMPLETE else None,
            intermediate_values=dict(record.intermediate),
            system_attrs={_CONSTRAINTS: violations},
        )

    def running(self, configuration: Configuration) -> Any:
        return self._made(configuration, state=self._optuna.trial.TrialState.RUNNING)

    def _made(self, configuration: Configuration, **rest: Any) -> Any:
        return self._optuna.trial.create_trial(
            params={name: self._plain(name, value) for name, value in configuration.items()},
            distributions={name: self._distributions[name] for name in configuration},
            **rest,
        )

    def _plain(self, name: str, value: Setting) -> Setting:
        return int(value) if isinstance(self._parameters[name], Integer) else value


def _violations(trial: Any) -> list[float]:
    found: list[float] = trial.system_attrs.get(_CONSTRAINTS, [0.0])
    return found


def _distribution(optuna: Any, parameter: Parameter) -> Any:
    known = optuna.distributions
    if isinstance(parameter, Choice):
        return known.CategoricalDistribution(parameter.values)
    if isinstance(parameter, Integer):
        step = 1 if parameter.is_log else parameter.step
        return known.IntDistribution(parameter.low, parameter.high, parameter.is_log, step)
    # Optuna has no steps on a log scale.
    steps = None if parameter.is_log else parameter.step or None
    return known.FloatDistribution(parameter.low, parameter.high, parameter.is_log, steps)


def _suggested(trial: Any, space: Space) -> Configuration:
    def value(parameter: Parameter) -> Setting:
        name = parameter.name
        if isinstance(parameter, Choice):
            found: Setting = trial.suggest_categorical(name, parameter.values)
            return found
        step = {"step": parameter.step} if parameter.step and not parameter.is_log else {}
        kind = "int" if isinstance(parameter, Integer) else "float"
        suggest = getattr(trial, f"suggest_{kind}")
        drawn = suggest(name, parameter.low, parameter.high, log=parameter.is_log, **step)
        return parameter.at(parameter.share(drawn))

    return space.made(value)
