"""What a scan is told: messages and models say the same, and resolving is stable."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.outlier.v1 import detector_pb2, outlier_pb2
from common.data.schema import Column, ColumnType, Schema
from common.errors import InvalidFieldError
from common.protobuf import from_plain
from services.outlier.convert import (
    cards_to_proto,
    online_from_proto,
    online_to_proto,
    specification_from_proto,
    specification_to_proto,
)
from services.outlier.domain.detectors.registry import DETECTORS
from services.outlier.domain.estimate import estimate
from services.outlier.domain.specification import ScannedData, resolve_against_data
from services.outlier.domain.streaming.online import Online

SCHEMA = Schema(
    (
        Column("a", ColumnType.NUMERIC),
        Column("b", ColumnType.CATEGORICAL, categories=("x", "y")),
        Column("label", ColumnType.BOOLEAN),
        Column("y", ColumnType.NUMERIC),
    ),
    target="y",
    targets=("y",),
)
DATA = ScannedData("datasets/d/versions/3", SCHEMA, 1000)


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_message_of_a_detector_has_its_parameters(name: str) -> None:
    """A parameter that the contract lacks cannot be set; one that only it has would be refused."""
    kind = detector_pb2.DetectorSpec.DESCRIPTOR.fields_by_name[name].message_type
    assert kind is not None
    assert {each.name for each in kind.fields} == set(DETECTORS[name].model_fields)


def test_defaults_of_all_detectors_are_messages() -> None:
    """What ListDetectors tells as defaults is taken by a scan, and means the same."""
    cards = cards_to_proto().detectors
    assert {card.name for card in cards} == set(DETECTORS)
    for card in cards:
        spec = outlier_pb2.OutlierScanSpec(
            dataset_version=DATA.name, detectors=[card.defaults, card.defaults]
        )
        detectors = specification_from_proto(spec).options.detectors
        assert detectors == dict.fromkeys((card.name, f"{card.name}_2"), DETECTORS[card.name]())


DETECTOR = st.sampled_from(
    [{"knn": {"neighbours": 3, "aggregation": "max"}}, {"kde": {"bandwidth": 0.5}}, {"ecod": {}}]
)
SPECS = st.fixed_dictionaries(
    {"dataset_version": st.just("datasets/d/versions/latest")},
    optional={
        "columns": st.lists(st.sampled_from(["a", "b", "y"]), unique=True, min_size=1),
        "detectors": st.lists(DETECTOR, max_size=3),
        "scaling": st.sampled_from(["auto", "standard", "robust"]),
        "contamination": st.floats(0.001, 0.5),
        "known_labels": st.just({"column": "label"}),
        "use_feedback": st.booleans(),
        "seed": st.integers(0, 2**53 - 1),
        "budget": st.integers(1, 86_400),
        "keep_detector": st.booleans(),
        "explained_rows": st.integers(0, 1000),
    },
)


@given(SPECS)
def test_resolved_specification_resolves_to_itself(plain: dict[str, Any]) -> None:
    """A resolved specification can be sent again, by people and by another attempt."""
    message = from_plain(plain, outlier_pb2.OutlierScanSpec)
    resolved = resolve_against_data(specification_from_proto(message), DATA)
    again = specification_from_proto(specification_to_proto(resolved))
    assert again == resolved
    assert resolve_against_data(again, DATA) == resolved
    assert resolved.columns
    needs = estimate(resolved, DATA)
    assert 0 < needs.seconds <= resolved.budget + 10
    assert needs.memory_bytes > 0


def test_targets_and_labels_are_left_out() -> None:
    """What is to be predicted, and what is known, does not make rows odd."""
    spec = outlier_pb2.OutlierScanSpec(
        dataset_version=DATA.name, known_labels=outlier_pb2.KnownLabels(column="label")
    )
    resolved = resolve_against_data(specification_from_proto(spec), DATA)
    assert resolved.columns == ("a", "b")
    assert resolved.model == "models/d-outliers"


def test_long_name_of_data_asks_for_a_model() -> None:
    """A default that is no valid name is not tried after the work, but refused before it."""
    data = ScannedData(f"datasets/{'d' * 60}/versions/1", SCHEMA, 10)
    spec = outlier_pb2.OutlierScanSpec(dataset_version=data.name)
    with pytest.raises(InvalidFieldError, match="too long"):
        resolve_against_data(specification_from_proto(spec), data)


def test_parameters_of_streams_come_back() -> None:
    """What a stream was begun with is what it goes on with."""
    message = outlier_pb2.OnlineDetector(stream="outlierStreams/s", trees=7, recent=200, seed=5)
    online = online_from_proto(message, "start.online")
    assert (online.trees.trees, online.recent, online.seed) == (7, 200, 5)
    whole = online_to_proto("outlierStreams/s", online)
    assert online_from_proto(whole, "start.online") == online
    assert online_to_proto("s", Online()).window == Online().trees.window
