"""What a study is told: ranges and defaults of `StudySpec`, field by field."""

import math
import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.tuner.domain.study.objective import Direction
from services.tuner.domain.study.pruning import Pruner
from services.tuner.domain.study.samplers import Sampler

FIELD = "study.spec"
_DAY = 86_400.0
_LONGEST_TEXT = 1_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)


def _checked_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError("must be 1 to 63 letters, digits and `_`, and not begin with a digit")
    return name


Name = Annotated[str, AfterValidator(_checked_name)]
Number = Annotated[float, Field(allow_inf_nan=False)]


def _checked(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) != 1:
        raise ValueError("give one of `number`, `integer`, `text` and `flag`")
    if not math.isfinite(number := value.get("number", 0.0)):
        raise ValueError(f"must be a finite number, not {number}")
    if (length := len(value.get("text", ""))) > _LONGEST_TEXT:
        raise ValueError(f"must have at most {_LONGEST_TEXT} characters, not {length}")
    return value


Value = Annotated[dict[str, Any], AfterValidator(_checked)]
"""A `Setting`, as `to_plain` gives it."""


def _some(values: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    if not values:
        raise ValueError("give at least one value")
    return values


Values = Annotated[
    tuple[Value, ...], Field(max_length=1_000, validate_default=True), AfterValidator(_some)
]


class _Specification(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NumberSpecification(_Specification):
    """Numbers between two."""

    low: Number = 0.0
    high: Number = 0.0
    log: bool = False
    step: Number | None = Field(None, gt=0)
    default_value: Number | None = None

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        _check_range(self.low, self.high, self.log)
        return self

    @property
    def middle(self) -> float:
        """Where a search begins, unless it is told."""
        middle = _middle(self.low, self.high, self.log)
        if self.step is None:
            return min(max(float(f"{middle:.3g}"), self.low), self.high)
        steps = min(round((middle - self.low) / self.step), _steps(self))
        return float(self.low + steps * self.step)


class IntegerSpecification(_Specification):
    """Whole numbers between two."""

    low: int = 0
    high: int = 0
    log: bool = False
    step: int | None = Field(None, ge=1)
    default_value: int | None = None

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        _check_range(self.low, self.high, self.log)
        if max(abs(self.low), abs(self.high)) > 2**53:
            raise ValueError(
                f"low is {self.low} and high is {self.high}: give some of -2^53 to 2^53"
            )
        return self

    @property
    def middle(self) -> int:
        """Where a search begins, unless it is told."""
        step = self.step or 1
        middle = _middle(self.low, self.high, self.log)
        return self.low + step * min(round((middle - self.low) / step), _steps(self))


class ChoiceSpecification(_Specification):
    """Values without order."""

    values: Values = ()
    default_value: Value | None = None


class ConditionSpecification(_Specification):
    """When a parameter counts."""

    parameter: Name
    values: Values = ()


class ParameterSpecification(_Specification):
    """Something that can be set."""

    name: Name
    number: NumberSpecification | None = None
    integer: IntegerSpecification | None = None
    choice: ChoiceSpecification | None = None
    when: ConditionSpecification | None = None

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        if self.number is None and self.integer is None and self.choice is None:
            raise ValueError("give its values: one of `number`, `integer` and `choice`")
        return self


class ObjectiveSpecification(_Specification):
    """Something to be made best."""

    name: Name
    direction: Direction = Direction.MINIMIZE


class BoundSpecification(_Specification):
    """Something that must keep within a bound."""

    name: Name
    at_most: Number | None = None
    at_least: Number | None = None

    @model_validator(mode="after")
    def _is_bound(self) -> Self:
        if self.at_most is None and self.at_least is None:
            raise ValueError("give the bound: `at_most` or `at_least`")
        return self


class PruningSpecification(_Specification):
    """When trials are given up early."""

    pruner: Pruner = Pruner.NONE
    least_steps: int = Field(1, ge=1)
    factor: int = Field(4, ge=2)
    startup_trials: int = Field(5, ge=0)


class StudySpecification(_Specification):
    """A `StudySpec`."""

    parameters: tuple[ParameterSpecification, ...] = Field((), max_length=100)
    constraints: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] = Field(
        (), max_length=100
    )
    objectives: tuple[ObjectiveSpecification, ...] = Field((), max_length=10)
    bounds: tuple[BoundSpecification, ...] = Field((), max_length=10)
    sampler: Sampler = Sampler.FOREST
    pruning: PruningSpecification = PruningSpecification()
    lease_duration: float = Field(600.0, ge=1, le=30 * _DAY, allow_inf_nan=False)
    max_trials: int = Field(10_000, ge=1, le=10_000)
    seed: int = Field(0, ge=0, lt=2**32)


def _check_range(low: float, high: float, is_log: bool) -> None:
    if low > high:
        raise ValueError(f"low is {low!r} and high is {high!r}: give a low that is at most high")
    if is_log and low <= 0:
        raise ValueError("on a log scale low must be above 0: raise low, or leave `log` out")


def _middle(low: float, high: float, is_log: bool) -> float:
    return math.sqrt(low) * math.sqrt(high) if is_log else low / 2 + high / 2


def _steps(range_: NumberSpecification | IntegerSpecification) -> int:
    return math.floor((range_.high - range_.low) / (range_.step or 1) + 1e-9)
