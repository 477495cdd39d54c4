"""Conversion between messages and plain values."""

import gc
import weakref
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from aimass.catalog.v1 import dataset_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import network_pb2
from common.errors import InvalidInputError
from common.protobuf import from_plain, resolve, to_plain


def test_only_set_fields_appear() -> None:
    """Zero and "not given" stay apart, or defaults would hide what a caller asked for."""
    spec = trainer_pb2.TrainingSpec(seed=0)
    assert to_plain(spec) == {"seed": 0}
    assert to_plain(trainer_pb2.TrainingSpec()) == {}


def test_enums_durations_maps_and_nested_messages() -> None:
    """Each kind of field has one plain form that goes back to the same message."""
    spec = trainer_pb2.TrainingSpec(
        optimizer=trainer_pb2.OptimizerSpec(
            kind=trainer_pb2.OPTIMIZER_KIND_ADAMW, learning_rate=0.5
        ),
        network=network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[3, 4])),
    )
    spec.checkpoint_interval.FromMilliseconds(1500)
    plain = to_plain(spec)
    assert plain == {
        "optimizer": {"kind": "adamw", "learning_rate": 0.5},
        "network": {"mlp": {"hidden_widths": [3, 4]}},
        "checkpoint_interval": 1.5,
    }
    assert from_plain(plain, trainer_pb2.TrainingSpec) == spec
    imported = dataset_pb2.DatasetImportSpec(column_types={"a": dataset_pb2.COLUMN_TYPE_TEXT})
    assert to_plain(imported) == {"column_types": {"a": "text"}}
    assert from_plain(to_plain(imported), dataset_pb2.DatasetImportSpec) == imported


@given(
    widths=st.lists(st.integers(1, 65536), max_size=8),
    dropout=st.none() | st.floats(0, 0.99),
    seed=st.none() | st.integers(0, 2**32 - 1),
    seconds=st.none() | st.integers(0, 10**6),
)
def test_round_trip(
    widths: list[int], dropout: float | None, seed: int | None, seconds: int | None
) -> None:
    """Whatever a caller sends comes back unchanged, set or unset."""
    spec = trainer_pb2.TrainingSpec(
        network=network_pb2.NetworkSpec(
            mlp=network_pb2.MlpNetwork(hidden_widths=widths, dropout=dropout)
        ),
        seed=seed,
    )
    if seconds is not None:
        spec.workers.wait_timeout.FromSeconds(seconds)
    assert from_plain(to_plain(spec), trainer_pb2.TrainingSpec) == spec


class _Optimizer(BaseModel):
    kind: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(0.001, gt=0)


class _Spec(BaseModel):
    optimizer: _Optimizer = _Optimizer()


def test_resolve_names_every_wrong_field() -> None:
    """A caller learns all that is wrong at once, by the path of the field."""
    spec = trainer_pb2.TrainingSpec(
        optimizer=trainer_pb2.OptimizerSpec(kind=trainer_pb2.OPTIMIZER_KIND_ADAMW, learning_rate=-1)
    )
    with pytest.raises(InvalidInputError) as caught:
        resolve(spec, _Spec, "training_run.spec")
    fields = [violation.field for violation in caught.value.violations]
    assert fields == [
        "training_run.spec.optimizer.kind",
        "training_run.spec.optimizer.learning_rate",
    ]


def test_unknown_enum_number_is_refused_not_dropped() -> None:
    """A value of a newer contract must not silently become the default."""
    spec = trainer_pb2.TrainingSpec(optimizer=trainer_pb2.OptimizerSpec(kind=99))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"optimizer\.kind"):
        resolve(spec, _Spec, "training_run.spec")


class _Picky(BaseModel):
    learning_rate: float

    @field_validator("learning_rate")
    @classmethod
    def _refuse(cls, rate: float) -> float:
        raise ValueError(f"{rate} is refused")


class _Local:
    """Something that a frame holds, and that a weak reference can point to."""


def test_refused_request_leaves_no_frames_behind() -> None:
    """A service that refuses requests all day must not keep what came with them."""

    def call() -> weakref.ref[_Local]:
        local = _Local()
        with pytest.raises(InvalidInputError) as caught:
            resolve(trainer_pb2.OptimizerSpec(learning_rate=0.5), _Picky, "optimizer")
        kept = caught.value  # a cycle: error, traceback, this frame
        assert kept.violations
        return weakref.ref(local)

    left = call()
    gc.collect()
    assert left() is None
