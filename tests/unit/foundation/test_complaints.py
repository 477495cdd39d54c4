"""What callers read of a request that is wrong: the path, the value, and what would be right."""

from typing import Any

import pytest
from google.protobuf import json_format

from aimass.catalog.v1 import dataset_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import study_pb2, tuner_pb2
from common.errors import FieldViolation, InvalidInputError
from common.wording import number, one_of, quoted
from services.catalog.convert import spec_from_proto
from services.outlier.convert import specification_from_proto
from services.trainer.domain.specification import read_specification
from services.tuner.convert import specification_from_proto as read_tuning
from services.tuner.study.validation import resolved_spec

TABLE: dict[str, Any] = {"dataset_version": "datasets/a/versions/1", "model": "models/a"}


def first(error: InvalidInputError) -> FieldViolation:
    """Returns the first violation without what all paths begin with."""
    field, _, rest = error.violations[0].field.partition(".spec.")
    return FieldViolation(rest or field, error.violations[0].description)


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({"epochs": 0}, "epochs", "must be at least 1, not 0."),
        ({"epochs": 2_000_000_000}, "epochs", "must be at most 100000, not 2000000000."),
        (
            {"network": {"resnet": {"depth": 50}}},
            "network.resnet.depth",
            "must be 18 or 34, not `50`.",
        ),
        ({"optimizer": {"kind": 99}}, "optimizer.kind", "OPTIMIZER_KIND_SGD, not 99."),
        (
            {"optimizer": {"learning_rate": "NaN"}},
            "optimizer.learning_rate",
            "must be a finite number, not nan.",
        ),
        (
            {"optimizer": {"momentum": 1.5}},
            "optimizer.momentum",
            "must be below 1, not 1.5.",
        ),
        (
            {"workers": {"wait_timeout": "700000s"}},
            "workers.wait_timeout",
            "must be at most 604800 s, not 700000 s.",
        ),
        (
            {"loss": {"class_weights": {"a b\n" + "c" * 100: -1}}},
            'loss.class_weights["a b\\n' + "c" * 55 + '..."]',
            "must be above 0, not -1.",
        ),
        (
            {"network": {"mlp": {"hidden_widths": [8] * 65}}},
            "network.mlp.hidden_widths",
            "must have at most 64 items, not 65.",
        ),
    ],
)
def test_a_wrong_training(spec: dict[str, Any], field: str, words: str) -> None:
    """Protects users from pydantic's own words, and from looking up what they sent."""
    message = json_format.ParseDict(spec, trainer_pb2.TrainingSpec(**TABLE))
    with pytest.raises(InvalidInputError) as raised:
        read_specification(message)
    found = first(raised.value)
    assert found.field == field and words in found.description


def test_enums_of_other_services_are_told_by_the_contracts_names() -> None:
    """What stands in the error can be pasted into the request."""
    with pytest.raises(InvalidInputError) as raised:
        spec_from_proto(
            dataset_pb2.DatasetImportSpec(dataset="datasets/a", upload="uploads/u", format=77)  # type: ignore[arg-type]
        )
    told = raised.value.violations[0].description
    assert told.startswith("must be DATA_FORMAT_CSV, ") and told.endswith(", not 77.")


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (
            {"csv": {"decimal_separator": "_"}},
            "csv.decimal_separator",
            "must be `.` or `,`, not `_`.",
        ),
        ({"csv": {"delimiter": "x"}}, "csv.delimiter", "no letter, digit or dot; it is `x`."),
        ({"csv": {"quote": '""'}}, "csv.quote", "must have at most 1 character, not 2."),
        ({"split": {"method": 3}}, "split.column", "a grouped split needs the column"),
        ({"split": {"column": "shop"}}, "split.column", "it is `shop`."),
    ],
)
def test_a_wrong_import(spec: dict[str, Any], field: str, words: str) -> None:
    """The path leads to the very field, also where another decides what is right."""
    known = dataset_pb2.DatasetImportSpec(dataset="datasets/a", upload="uploads/u")
    with pytest.raises(InvalidInputError) as raised:
        spec_from_proto(json_format.ParseDict(spec, known))
    found = first(raised.value)
    assert found.field == field and words in found.description
    assert len(raised.value.violations) == 1


@pytest.mark.parametrize("text", ["x" * 70 + " <", "a\nb <"])
def test_a_constraint_is_told_shortly(text: str) -> None:
    """A constraint of 500 characters leaves room for the cure."""
    spec = study_pb2.StudySpec(objectives=[study_pb2.StudyObjective(name="loss")])
    spec.parameters.add(name="x", number=study_pb2.NumberRange(low=0, high=1))
    spec.constraints.append(text)
    with pytest.raises(InvalidInputError) as raised:
        resolved_spec(spec)
    assert raised.value.violations[0].field == "study.spec.constraints[0]"
    told = raised.value.violations[0].description
    assert told.startswith(f"The constraint {quoted(text)}: it cannot be read: use numbers")


def test_a_key_that_is_wrong_is_told_as_a_key() -> None:
    """The path is one that the request has."""
    spec = tuner_pb2.TuningSpec(dataset_version="datasets/a/versions/1")
    spec.costs.rows.add(truth="a").costs["k" * 2_000] = 1.0
    with pytest.raises(InvalidInputError) as raised:
        read_tuning(spec)
    found = first(raised.value)
    assert found.field == f'costs.rows[0].costs["{"k" * 60}..."]'
    assert found.description == "must have at most 1000 characters, not 2000."


def test_a_value_that_a_check_does_not_tell_is_added() -> None:
    """Protects the checks that models have of their own."""
    spec = study_pb2.StudySpec(objectives=[study_pb2.StudyObjective(name="loss")])
    spec.parameters.add(name="9 lives", number=study_pb2.NumberRange(low=0, high=1))
    with pytest.raises(InvalidInputError, match=r"with a digit; it is `9 lives`\.$"):
        resolved_spec(spec)
    spec.parameters[0].name = ""
    spec.bounds.add(name="", at_most=1.0)
    with pytest.raises(InvalidInputError) as raised:
        resolved_spec(spec)
    assert all(each.description for each in raised.value.violations)


def test_all_that_is_wrong_is_told() -> None:
    """Several fields need one round, not several."""
    spec = outlier_pb2.OutlierScanSpec(dataset_version="x", contamination=2, seed=-1)
    with pytest.raises(InvalidInputError) as raised:
        specification_from_proto(spec)
    assert len(raised.value.violations) == 2


def test_values_are_told_on_one_line() -> None:
    """Protects terminals and logs from what callers send."""
    assert quoted("a\x1b[31m\nb\u202e") == "`a\\x1b[31m\\nb\\u202e`"
    assert quoted("x" * 2_000) == f"`{'x' * 60}...`"
    assert quoted("\U0010ffff" * 50) == "`" + r"\U0010ffff" * 6 + "...`"
    assert [number(3.0), number(0.5), number(7), number(1e308)] == ["3", "0.5", "7", "1e+308"]
    assert [one_of(["a"]), one_of(["a", "b", "c"])] == ["a", "a, b or c"]
