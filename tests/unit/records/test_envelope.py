"""How a resource is stored."""

import json
from datetime import UTC, datetime

import pytest
from google.rpc import error_details_pb2

from aimass.trainer.v1.trainer_pb2 import TrainingRun
from common.artifacts import ObjectInfo
from common.artifacts.memory import MemoryStore
from common.errors import DataLossError
from common.records import RecordStore
from common.records.envelope import decode
from common.testing.sample_records import RUN, run

INFO = ObjectInfo("k", "e", 1, datetime.now(UTC), datetime.now(UTC))


def test_the_stored_form_is_readable() -> None:
    """Protects operators who look with `mc cat`: plain JSON, fields as protobuf's JSON has them."""
    store = MemoryStore()
    RecordStore(store).create(run(), references=[])
    body = json.loads(store.read("records/trainingRuns/a.json")[0])
    assert body["revision"] == 1
    assert body["state"] == "ACTIVE"
    assert body["resource"]["name"] == RUN
    assert body["resource"]["status"]["state"] == "RUN_STATE_PENDING"


def test_every_value_survives() -> None:
    """Protects metrics that are not finite, error details, and 64-bit numbers."""
    resource = run()
    resource.metrics["train/loss"] = float("inf")
    resource.metrics["third"] = 1 / 3
    resource.status.last_sequence = 2**62 + 1
    resource.status.error.details.add().Pack(error_details_pb2.ErrorInfo(reason="DIVERGED"))
    resource.labels["ünï"] = "\x00\u2028\U0001f600"
    records = RecordStore(MemoryStore())
    records.create(resource)
    assert records.get(RUN, TrainingRun).resource == resource


def test_fields_of_a_newer_version_are_left_out() -> None:
    """Protects rolling upgrades: an older process still reads the record."""
    data = json.dumps(
        {"revision": 3, "state": "ACTIVE", "resource": {"name": RUN, "newField": {"x": 1}}}
    ).encode()
    record = decode(RUN, data, INFO).record(TrainingRun)
    assert record.resource == TrainingRun(name=RUN)
    assert record.revision == 3


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"revision": 1, "state": "ODD"}'])
def test_damage_is_data_loss(data: bytes) -> None:
    """Protects callers from INTERNAL errors: what is damaged is named."""
    with pytest.raises(DataLossError, match=RUN):
        decode(RUN, data, INFO)


def test_a_resource_of_another_type_is_data_loss() -> None:
    """Protects against values that do not fit the message."""
    data = b'{"revision": 1, "state": "ACTIVE", "resource": {"bestEpoch": "many"}}'
    with pytest.raises(DataLossError, match="TrainingRun"):
        decode(RUN, data, INFO).record(TrainingRun)
