"""Checks a study, and what it is given to begin with, before it is created."""

from collections import Counter
from collections.abc import Iterator, Sequence

from aimass.tuner.v1 import study_pb2
from common.errors import FieldViolation, InvalidInputError
from common.protobuf import from_plain, resolve
from services.tuner.domain.space.checking import flaws_of
from services.tuner.domain.study.objective import objective_flaws
from services.tuner.domain.study.samplers import sampler_flaws
from services.tuner.study.convert import Problem, problem_of
from services.tuner.study.specification import FIELD, ParameterSpecification, StudySpecification


def resolved_spec(spec: study_pb2.StudySpec) -> study_pb2.StudySpec:
    """Returns a specification with its defaults filled in.

    Raises:
        InvalidInputError: Names the path of every field that is wrong, and the cure.
    """
    specification = resolve(spec, StudySpecification, FIELD)
    found = from_plain(specification.model_dump(mode="json"), study_pb2.StudySpec)
    for parameter, given in zip(found.parameters, specification.parameters, strict=True):
        _fill_default(parameter, given)
    raise_if(list(_violations(problem_of(found))))
    return found


def raise_if(violations: Sequence[FieldViolation]) -> None:
    """Raises `InvalidInputError` where there are violations."""
    if violations:
        raise InvalidInputError.of(violations)


def _fill_default(parameter: study_pb2.StudyParameter, given: ParameterSpecification) -> None:
    if given.number is not None and given.number.default_value is None:
        parameter.number.default_value = given.number.middle
    if given.integer is not None and given.integer.default_value is None:
        parameter.integer.default_value = given.integer.middle
    if given.choice is not None and given.choice.default_value is None:
        parameter.choice.default_value.CopyFrom(parameter.choice.values[0])


def _violations(problem: Problem) -> Iterator[FieldViolation]:
    found = [*_parameter_violations(problem), *_constraint_violations(problem)]
    yield from found
    if not found:
        for flaw in problem.space.flaws():
            yield FieldViolation(f"{FIELD}.parameters", _with_cure(flaw))
    for flaw in objective_flaws(problem.objectives):
        yield FieldViolation(f"{FIELD}.objectives", flaw)
    for name, count in Counter(problem.measured).items():
        if count > 1 and name in {each.name for each in problem.bounds}:
            yield FieldViolation(
                f"{FIELD}.bounds", f"{name} is measured twice: rename one of them."
            )
    for flaw in problem.pruning.flaws(problem.objectives):
        yield FieldViolation(f"{FIELD}.pruning", flaw)
    for flaw in sampler_flaws(problem.sampler, problem.space, problem.objectives):
        yield FieldViolation(f"{FIELD}.sampler", flaw)


def _parameter_violations(problem: Problem) -> Iterator[FieldViolation]:
    parameters = problem.space.parameters
    known = 0
    for place in range(len(parameters)):
        flaws = flaws_of(parameters[: place + 1], ())
        for flaw in flaws[known:]:
            yield FieldViolation(f"{FIELD}.parameters[{place}]", flaw)
        known = len(flaws)


def _constraint_violations(problem: Problem) -> Iterator[FieldViolation]:
    parameters = problem.space.parameters
    known = len(flaws_of(parameters, ()))
    for place, constraint in enumerate(problem.space.constraints):
        for flaw in flaws_of(parameters, (constraint,))[known:]:
            yield FieldViolation(f"{FIELD}.constraints[{place}]", flaw)


def _with_cure(flaw: str) -> str:
    return (
        f"{flaw} Give other values as `default_value`." if flaw.startswith("The default") else flaw
    )
