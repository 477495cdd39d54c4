"""Between messages and the domain."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from google.protobuf.descriptor import EnumDescriptor

from aimass.tuner.v1 import study_pb2, tuner_pb2
from common.protobuf import enum_short_name
from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.space.expression import Expression
from services.tuner.domain.space.parameter import Choice, Condition, Float, Integer, Parameter
from services.tuner.domain.space.space import Space
from services.tuner.domain.study.objective import Direction, Objective
from services.tuner.domain.study.pruning import Pruner, Pruning
from services.tuner.domain.study.records import TrialRecord, TrialState
from services.tuner.domain.study.samplers import Sampler

Settings = Mapping[str, tuner_pb2.Setting]

_STATES = {
    study_pb2.TRIAL_STATE_WAITING: TrialState.RUNNING,
    study_pb2.TRIAL_STATE_RUNNING: TrialState.RUNNING,
    study_pb2.TRIAL_STATE_COMPLETED: TrialState.COMPLETED,
    study_pb2.TRIAL_STATE_PRUNED: TrialState.PRUNED,
    study_pb2.TRIAL_STATE_FAILED: TrialState.FAILED,
}
"""A trial that waits to be given out is pending, too."""


@dataclass(frozen=True)
class Bound:
    """Something that must keep within a bound.

    Attributes:
        name: What is measured.
        limit: The bound.
        is_most: Whether it is the largest value that is allowed, and not the smallest.
    """

    name: str
    limit: float
    is_most: bool

    def violation(self, value: float) -> float:
        """Returns by how much a value breaks it; 0 or less where it does not."""
        return value - self.limit if self.is_most else self.limit - value


@dataclass(frozen=True)
class Problem:
    """What a study searches for.

    Attributes:
        spec: As resolved.
        space: Of the settings.
        objectives: At least one.
        bounds: What else is measured.
        pruning: When trials are given up.
        sampler: How trials are chosen.
    """

    spec: study_pb2.StudySpec
    space: Space
    objectives: tuple[Objective, ...]
    bounds: tuple[Bound, ...]
    pruning: Pruning
    sampler: Sampler

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """The names of what is measured of each trial."""
        return (*(each.name for each in self.objectives), *(each.name for each in self.bounds))

    @property
    def lease_seconds(self) -> float:
        """How long a trial belongs to whoever asked for it."""
        return self.spec.lease_duration.ToNanoseconds() / 1e9

    def record(self, trial: study_pb2.Trial) -> TrialRecord:
        """Returns what the domain knows of a trial of this study."""
        values: tuple[float, ...] = ()
        violations: tuple[float, ...] = ()
        if trial.state == study_pb2.TRIAL_STATE_COMPLETED:
            values = tuple(trial.values[each.name] for each in self.objectives)
            violations = tuple(each.violation(trial.values[each.name]) for each in self.bounds)
        return TrialRecord(
            number=number_of(trial),
            parameters=configuration_of(trial.settings),
            state=_STATES[trial.state],
            values=values,
            intermediate={each.step: each.value for each in trial.measurements},
            violations=violations,
            cost=trial.cost,
        )

    def normalised(self, configuration: Configuration) -> dict[str, Setting]:
        """Returns a configuration with values of the parameters' kinds: 3.0 is 3, and 1 is 1.0."""
        kinds = {each.name: each for each in self.space.parameters}
        return {
            name: _normalised(kinds[name], value) if name in kinds else value
            for name, value in configuration.items()
        }


def problem_of(spec: study_pb2.StudySpec) -> Problem:
    """Returns what a resolved specification searches for."""
    return Problem(
        spec=spec,
        space=Space(
            tuple(_parameter(each) for each in spec.parameters),
            tuple(Expression(each) for each in spec.constraints),
        ),
        objectives=tuple(_objective(each) for each in spec.objectives),
        bounds=tuple(_bound(each) for each in spec.bounds),
        pruning=_pruning(spec.pruning),
        sampler=Sampler(_short(study_pb2.StudySampler.DESCRIPTOR, spec.sampler, Sampler.FOREST)),
    )


def number_of(trial: study_pb2.Trial) -> int:
    """Returns the number of a trial; 0 where it has no name yet."""
    return int(trial.name.rpartition("/")[2] or 0)


def configuration_of(settings: Settings) -> dict[str, Setting]:
    """Returns settings as the domain knows them."""
    return {name: setting_of(setting) for name, setting in settings.items()}


def setting_of(setting: tuner_pb2.Setting) -> Setting:
    """Returns a setting's value; an empty text where it has none."""
    value: Setting = getattr(setting, setting.WhichOneof("value") or "text")
    return value


def settings_to_proto(configuration: Configuration) -> dict[str, tuner_pb2.Setting]:
    """Returns the messages of a configuration."""
    return {name: setting_to_proto(value) for name, value in configuration.items()}


def setting_to_proto(value: Setting) -> tuner_pb2.Setting:
    """Returns the message of a setting."""
    if isinstance(value, bool):
        return tuner_pb2.Setting(flag=value)
    if isinstance(value, int):
        return tuner_pb2.Setting(integer=value)
    if isinstance(value, float):
        return tuner_pb2.Setting(number=value)
    return tuner_pb2.Setting(text=value)


def _parameter(message: study_pb2.StudyParameter) -> Parameter:
    name, when = message.name, _condition(message)
    match message.WhichOneof("values"):
        case "number":
            number = message.number
            return Float(
                name, number.low, number.high, number.default_value, number.log, number.step, when
            )
        case "integer":
            own = message.integer
            return Integer(name, own.low, own.high, own.default_value, own.log, own.step or 1, when)
    values = tuple(setting_of(each) for each in message.choice.values)
    return Choice(name, values, setting_of(message.choice.default_value), when)


def _condition(message: study_pb2.StudyParameter) -> Condition | None:
    if not message.HasField("when"):
        return None
    values = tuple(setting_of(each) for each in message.when.values)
    return Condition(message.when.parameter, values)


def _objective(message: study_pb2.StudyObjective) -> Objective:
    direction = _short(study_pb2.Direction.DESCRIPTOR, message.direction, Direction.MINIMIZE)
    return Objective(message.name, Direction(direction))


def _bound(message: study_pb2.StudyBound) -> Bound:
    is_most = message.WhichOneof("bound") == "at_most"
    return Bound(message.name, message.at_most if is_most else message.at_least, is_most)


def _pruning(message: study_pb2.StudyPruning) -> Pruning:
    return Pruning(
        Pruner(_short(study_pb2.StudyPruner.DESCRIPTOR, message.pruner, Pruner.NONE)),
        message.least_steps,
        message.factor,
        message.startup_trials,
    )


def _short(enum: EnumDescriptor, number: int, default: str) -> str:
    return enum_short_name(enum, number) if number else default


def _normalised(parameter: Parameter, value: Setting) -> Setting:
    if isinstance(parameter, Choice):
        equal = [each for each in parameter.values if each == value]
        return equal[0] if equal else value
    if isinstance(value, str | bool):
        return value
    if isinstance(parameter, Float):
        return float(value)
    return int(value) if float(value).is_integer() else value
