"""What is wrong is refused by field, with the cure, before anything is stored."""

from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from aimass.tuner.v1 import study_pb2
from common.errors import FieldViolation, InvalidInputError
from services.tuner.study.convert import problem_of
from services.tuner.study.given import given_trials
from services.tuner.study.outcomes import Outcome, outcome_violations
from services.tuner.study.validation import resolved_spec
from tests.unit.tuner_study.studies import asking, creation, serving, spec, telling

NAN, INFINITY = float("nan"), float("inf")
DEPTH = {"name": "depth", "integer": {"low": 1, "high": 50}}
KIND = {"name": "kind", "choice": {"values": [{"text": "a"}, {"text": "b"}]}}


def integer(**more: Any) -> dict[str, Any]:
    return {"parameters": [{"name": "depth", "integer": {"low": 1, "high": 50, **more}}]}


@pytest.mark.parametrize(
    ("more", "field", "words"),
    [
        ({"parameters": []}, "parameters", "at least one"),
        ({"parameters": [{"name": "a b", "integer": {}}]}, "parameters[0].name", "letters, digits"),
        ({"parameters": [{"name": "a"}]}, "parameters[0]", "`number`, `integer` and `choice`"),
        (
            {"parameters": [{"name": "a", "choice": {}}]},
            "parameters[0].choice.values",
            "at least one value",
        ),
        (
            {"parameters": [DEPTH, {**KIND, "when": {"parameter": "depth"}}]},
            "parameters[1].when.values",
            "at least one value",
        ),
        ({"parameters": [DEPTH, DEPTH]}, "parameters[1]", "rename one of them"),
        (integer(high=0), "parameters[0].integer", "low that is at most high"),
        (integer(log=True, low=0), "parameters[0].integer", "low must be above 0"),
        (integer(step=0), "parameters[0].integer.step", "must be at least 1"),
        (integer(defaultValue=51), "parameters[0]", "a whole number from 1 to 50"),
        (integer(high=2**60), "parameters[0].integer", "2^53"),
        (
            {"parameters": [{"name": "x", "number": {"low": "NaN", "high": 1}}]},
            "parameters[0].number.low",
            "finite",
        ),
        (
            {"parameters": [{"name": "x", "choice": {"values": [{"text": "a"}, {}]}}]},
            "parameters[0].choice.values[1]",
            "one of `number`",
        ),
        (
            {
                "parameters": [
                    DEPTH,
                    {**KIND, "when": {"parameter": "y", "values": [{"text": "b"}]}},
                ]
            },
            "parameters[1]",
            "depends on y",
        ),
        ({"constraints": ["width > 3"]}, "constraints[0]", "give a parameter of the space"),
        ({"constraints": ["depth ><"]}, "constraints[0]", "cannot be read"),
        ({"constraints": ["__import__('os')"]}, "constraints[0]", "__import__"),
        ({"constraints": ["depth > 40"]}, "parameters", "`default_value`"),
        ({"objectives": []}, "objectives", "at least one"),
        ({"objectives": [{"name": "a"}, {"name": "a"}]}, "objectives", "rename one of them"),
        ({"bounds": [{"name": "heat"}]}, "bounds[0]", "`at_most` or `at_least`"),
        ({"bounds": [{"name": "loss", "atMost": 1}]}, "bounds", "measured twice"),
        (
            {
                "objectives": [{"name": "a"}, {"name": "b"}],
                "pruning": {"pruner": "STUDY_PRUNER_ASHA"},
            },
            "pruning",
            "not pruned",
        ),
        (
            {"parameters": [DEPTH, KIND], "sampler": "STUDY_SAMPLER_CMA_ES"},
            "sampler",
            "take forest or tpe",
        ),
        ({"sampler": 99}, "sampler", "or STUDY_SAMPLER_RANDOM, not 99"),
        ({"leaseDuration": "0.5s"}, "lease_duration", "must be at least 1"),
        ({"maxTrials": 0}, "max_trials", "must be at least 1"),
        ({"seed": -1}, "seed", "must be at least 0"),
    ],
)
def test_a_specification_that_is_wrong(more: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        resolved_spec(spec(**more))
    found = raised.value.violations[0]
    assert found.field == f"study.spec.{field}"
    assert words in found.description


def test_a_parameter_that_is_wrong_is_not_one_that_is_missing() -> None:
    """A flaw is told once: what is wrong is there."""
    with pytest.raises(InvalidInputError) as raised:
        resolved_spec(spec(parameters=[{"name": "a"}, {"name": "b"}]))
    assert [each.field for each in raised.value.violations] == [
        "study.spec.parameters[0]",
        "study.spec.parameters[1]",
    ]


@pytest.mark.parametrize(
    ("outcome", "field"),
    [
        (Outcome({}), "values"),
        (Outcome({"loss": 1.0}, failure="x"), "values"),
        (Outcome({}, failure="x", pruned=True), "values"),
        (Outcome({"loss": NAN}), 'values["loss"]'),
        (Outcome({"loss": INFINITY}), 'values["loss"]'),
        (Outcome({"lost": 1.0, "loss": 2.0}), "values"),
        (Outcome({}, failure="x" * 1001), "failure"),
        (Outcome({"loss": 1.0}, cost=-1.0), "cost"),
        (Outcome({"loss": 1.0}, cost=NAN), "cost"),
    ],
)
def test_an_outcome_that_is_wrong(outcome: Outcome, field: str) -> None:
    problem = problem_of(resolved_spec(spec()))
    assert [each.field for each in outcome_violations(problem, outcome)] == [field]


@pytest.mark.parametrize(
    ("trial", "field"),
    [
        ({}, "settings"),
        ({"settings": {"depth": {"integer": 99}, "rate": {"number": 1}}}, "settings"),
        ({"settings": {"depth": {"integer": 9}, "rate": {"text": "x"}}}, "settings"),
        ({"values": {"loss": 1, "size": 2}}, "values"),
        ({"cost": 3}, "values"),
        ({"values": {"loss": 1}, "measurements": [{"step": 1}, {"step": 1}]}, "measurements"),
        ({"values": {"loss": 1}, "measurements": [{"step": -1}]}, "measurements"),
    ],
)
def test_a_trial_to_begin_with_that_is_wrong(trial: dict[str, Any], field: str) -> None:
    problem = problem_of(resolved_spec(spec()))
    right = {"settings": {"depth": {"integer": 9}, "rate": {"number": 0.5}}}
    if field != "settings":
        trial = {**right, **trial}
    given = [json_format.ParseDict(each, study_pb2.Trial()) for each in (right, trial)]
    with pytest.raises(InvalidInputError) as raised:
        given_trials(problem, given)
    assert {each.field for each in raised.value.violations} == {f"initial_trials[1].{field}"}


def test_more_trials_that_wait_than_may_be_given_out() -> None:
    problem = problem_of(resolved_spec(spec(maxTrials=1)))
    trial = study_pb2.Trial()
    trial.settings["depth"].integer, trial.settings["rate"].number = 3, 0.5
    with pytest.raises(InvalidInputError, match="max_trials"):
        given_trials(problem, [trial, trial])


def test_settings_are_taken_where_they_are_equal() -> None:
    """Who writes JSON by hand writes 3 for 3.0."""
    problem = problem_of(resolved_spec(spec()))
    found = problem.normalised({"depth": 3.0, "rate": 1})
    assert [type(each) for each in found.values()] == [int, float]


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("CreateStudy", study_pb2.CreateStudyRequest(), "study.spec"),
        ("CreateStudy", creation("Wrong Id"), "study_id"),
        ("AskTrials", asking(101), "count"),
        ("AskTrials", asking(-1), "count"),
        ("AskTrials", asking(study=".."), "parent"),
        ("AskTrials", asking(request_id="no"), "request_id"),
        ("GetTrial", study_pb2.GetTrialRequest(name="studies/s/trials/0"), "name"),
        ("ReportTrial", study_pb2.ReportTrialRequest(name="studies/s/trials/1", step=-1), "step"),
        (
            "ReportTrial",
            study_pb2.ReportTrialRequest(name="studies/s/trials/1", value=INFINITY),
            "value",
        ),
        ("TellTrial", telling(study_pb2.Trial(name="studies/s/trials/1"), NAN), 'values["loss"]'),
        ("ListTrials", study_pb2.ListTrialsRequest(parent="studies/s", filter="a=b"), "filter"),
    ],
)
async def test_a_call_that_is_wrong(method: str, request_: Any, field: str) -> None:
    async with serving() as stub:
        await stub.CreateStudy(creation())
        await stub.AskTrials(asking())
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await getattr(stub, method)(request_)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert str(raised.value.details()).startswith(f"{field}: ")


async def test_many_errors_fit_into_an_answer() -> None:
    """The first ones are named; all of them would be cut off, and nobody would read any."""
    async with serving() as stub:
        long = [f"x{place} < 3{' and x < 4' * 40}" for place in range(90)]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.CreateStudy(creation(constraints=long))
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "constraints[0]" in str(raised.value.details())


async def test_a_step_has_one_value() -> None:
    async with serving() as stub:
        await stub.CreateStudy(creation())
        (trial,) = (await stub.AskTrials(asking())).trials
        report = study_pb2.ReportTrialRequest(name=trial.name, step=1, value=NAN)
        await stub.ReportTrial(report)
        await stub.ReportTrial(report)
        report.value = 1
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.ReportTrial(report)
    assert raised.value.code() == grpc.StatusCode.ALREADY_EXISTS


def test_a_violation_has_words() -> None:
    """Each of several is there."""
    with pytest.raises(InvalidInputError) as raised:
        resolved_spec(spec(seed=-1, maxTrials=0))
    assert all(isinstance(each, FieldViolation) for each in raised.value.violations)
    assert len(raised.value.violations) == 2
