"""Resources and changes that tests of records share."""

from aimass.trainer.v1.trainer_pb2 import TrainingRun
from aimass.type.v1.run_pb2 import RunState
from common.records import RequestId

RUN = "trainingRuns/a"
VERSION = "datasets/digits/versions/1"
UUID = "0b54e3d4-5f7e-4f4c-9a55-27a1a5a1b9a7"


def run(name: str = RUN, team: str = "vision", created: int = 1) -> TrainingRun:
    """Returns a run that was created at that second."""
    resource = TrainingRun(name=name, labels={"team": team})
    resource.status.state = RunState.RUN_STATE_PENDING
    resource.status.create_time.FromSeconds(created)
    return resource


def request(message: TrainingRun, uuid: str = UUID) -> RequestId:
    """Returns the identity of a call with that payload."""
    identity = RequestId.of("alice", "/aimass.trainer.v1.TrainingService/Create", uuid, message)
    assert identity is not None
    return identity


def start(resource: TrainingRun) -> TrainingRun:
    """Changes a run to RUNNING and counts its attempt."""
    resource.status.state = RunState.RUN_STATE_RUNNING
    resource.status.attempt += 1
    return resource
