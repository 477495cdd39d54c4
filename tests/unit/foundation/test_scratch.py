"""Scratch folders come and go with the attempts that use them."""

import errno
import os
from pathlib import Path

import pytest

from aimass.trainer.v1 import trainer_pb2
from common.errors import DiskFullError
from common.runs.publishing import run_uuid
from common.runs.scratch import scratch_folder


def run(name: str) -> trainer_pb2.TrainingRun:
    return trainer_pb2.TrainingRun(name=f"trainingRuns/{name}")


def test_folder_of_a_living_run_stays(tmp_path: Path) -> None:
    """However old it is, a folder is safe from others as long as its process lives."""
    with scratch_folder("test", run("living"), tmp_path, "") as living:
        os.utime(living, (0, 0))
        with scratch_folder("test", run("other"), tmp_path, ""):
            assert living.exists()
    assert not list(tmp_path.iterdir())


def test_folders_of_killed_attempts_go(tmp_path: Path) -> None:
    """What SIGKILL left goes with the run's next attempt, or with any run's of the same use."""
    mine = tmp_path / f"aimass-test-{run_uuid(run('a'))}-left"
    fresh, dead, foreign = (
        tmp_path / name for name in ("aimass-test-fresh", "aimass-test-dead", "aimass-import-dead")
    )
    for folder in (mine, fresh, dead, foreign):
        folder.mkdir()
    for folder in (dead, foreign):
        os.utime(folder, (0, 0))
    with scratch_folder("test", run("a"), tmp_path, ""):
        pass
    assert set(tmp_path.iterdir()) == {fresh, foreign}


def test_full_disk_is_told_with_the_cure(tmp_path: Path) -> None:
    """A person learns which folder to make room in, or how to choose another."""
    with (
        pytest.raises(DiskFullError, match="is full; choose another folder"),
        scratch_folder("test", run("a"), tmp_path, "choose another folder"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())
