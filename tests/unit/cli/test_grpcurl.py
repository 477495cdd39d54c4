"""Requests as lines for a shell."""

import json
import shlex

import pytest

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2
from common.cli.documents import KINDS
from common.cli.grpcurl import grpcurl_line, method_of


def test_a_line_holds_the_whole_request() -> None:
    """Protects quotes in texts, numbers, and the method: what is pasted is what was sent."""
    spec = trainer_pb2.TrainingSpec(dataset_version="datasets/it's/versions/1", model="models/m")
    run = trainer_pb2.TrainingRun(spec=spec, labels={"who": 'a "b" $c'})
    line = grpcurl_line(trainer_pb2.CreateTrainingRunRequest(training_run=run, request_id="once"))
    words = shlex.split(line)
    assert words[-2:] == [
        "$AIMASS_TRAINER_ADDRESS",
        "aimass.trainer.v1.TrainingService/CreateTrainingRun",
    ]
    assert json.loads(words[words.index("-d") + 1]) == {
        "training_run": {
            "spec": {"dataset_version": "datasets/it's/versions/1", "model": "models/m"},
            "labels": {"who": 'a "b" $c'},
        }
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_method(kind: str) -> None:
    """Protects all kinds that files can hold."""
    assert method_of(KINDS[kind]()).endswith(f"/Create{kind}")


def test_what_no_method_takes_is_said() -> None:
    """Protects from lines that nobody answers."""
    with pytest.raises(LookupError, match="Event"):
        method_of(event_pb2.Event())
