"""Identity of calls that a client may repeat."""

import pytest

from aimass.trainer.v1.trainer_pb2 import CreateTrainingRunRequest
from common.errors import InvalidFieldError
from common.records import RequestId

UUID = "0b54e3d4-5f7e-4f4c-9a55-27a1a5a1b9a7"


def identity(
    caller: str = "alice", method: str = "/a.B/C", uuid: str = UUID, run_id: str = "a"
) -> RequestId:
    """Returns the identity of a call."""
    message = CreateTrainingRunRequest(training_run_id=run_id, request_id=uuid)
    made = RequestId.of(caller, method, uuid, message)
    assert made is not None
    return made


def test_a_call_without_an_id_has_no_identity() -> None:
    """Protects callers that give none: nothing is stored for them."""
    assert RequestId.of("alice", "/a.B/C", "", CreateTrainingRunRequest()) is None


def test_one_spelling_of_a_uuid_is_as_good_as_another() -> None:
    """Protects clients whose libraries write UUIDs in capitals."""
    assert identity(uuid=UUID.upper()).key == identity().key


@pytest.mark.parametrize("uuid", ["x", "../records/a", UUID[:-1], UUID + "0"])
def test_other_ids_are_refused(uuid: str) -> None:
    """Protects keys, and clients from ids that others will guess or repeat."""
    with pytest.raises(InvalidFieldError) as raised:
        identity(uuid=uuid)
    assert raised.value.violations[0].field == "request_id"


def test_callers_and_methods_do_not_meet() -> None:
    """Protects one caller's requests from another's."""
    keys = {
        identity().key,
        identity(caller="bob").key,
        identity(method="/a.B/D").key,
        identity(caller="alice/a.B", method="/C").key,
    }
    assert len(keys) == 4


def test_the_digest_is_that_of_the_payload() -> None:
    """Protects against a changed request under an old id."""
    assert identity().payload_digest == identity().payload_digest
    assert identity().payload_digest != identity(run_id="b").payload_digest
