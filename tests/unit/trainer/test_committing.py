import threading
from pathlib import Path

import pytest
import torch

from aimass.trainer.v1 import agents_pb2
from common.artifacts.memory import MemoryStore
from common.errors import UnavailableError
from services.trainer.worker import committing
from services.trainer.worker.commits import read_commit
from services.trainer.worker.committing import Committer
from services.trainer.worker.publishing import CheckpointPublisher
from services.trainer.worker.state import Snapshot


def snapshot(step: int, values: int = 10) -> Snapshot:
    return Snapshot(
        {"parameters": torch.full((values,), float(step))}, {"step": str(step), "epoch": "1"}
    )


def test_a_commit_is_read_back_by_the_agent(tmp_path: Path) -> None:
    """Protects the words that agents find the newest commit by."""
    told: list[tuple[int, int]] = []
    committer = Committer(tmp_path, None, lambda step, epoch: told.append((step, epoch)))
    committer.commit(snapshot(12))
    commit = read_commit(tmp_path)
    assert commit is not None and (commit.step, commit.epoch) == (12, 1)
    assert told == [(12, 1)]
    assert [path.name for path in tmp_path.iterdir()] == ["commit.safetensors"]


def test_a_fixed_interval_is_kept(tmp_path: Path) -> None:
    """Protects `commit_steps`."""
    committer = Committer(tmp_path, 4, lambda step, epoch: None)
    due = []
    for step in range(1, 14):
        if committer.is_due(step):
            due.append(step)
            committer.commit(snapshot(step))
    assert due == [5, 9, 13]


def test_large_commits_are_written_beside_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects the critical path, and the copy: later steps do not show in the file."""
    monkeypatch.setattr(committing, "BACKGROUND_BYTES", 100)
    written = threading.Event()
    committer = Committer(tmp_path, None, lambda step, epoch: written.set())
    state = snapshot(3, values=1000)
    committer.commit(state)
    state.tensors["parameters"].fill_(-1)
    assert written.wait(10)
    content = Snapshot.from_bytes((tmp_path / "commit.safetensors").read_bytes())
    assert content.step == 3
    assert torch.equal(content.tensors["parameters"], torch.full((1000,), 3.0))


def test_the_last_commit_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the end of training: the package is built from the last state, large or not."""
    monkeypatch.setattr(committing, "BACKGROUND_BYTES", 100)
    committer = Committer(tmp_path, None, lambda step, epoch: None)
    for step in (3, 4, 5):
        committer.commit(snapshot(step, values=1000))
    committer.commit(snapshot(6, values=1000), wait=True)
    commit = read_commit(tmp_path)
    assert commit is not None and commit.step == 6


class _Publishing:
    """A publisher with a store, and what it has reported."""

    def __init__(self, directory: Path) -> None:
        self.store = MemoryStore()
        self.published: list[agents_pb2.CheckpointPublished] = []
        self.directory = directory
        self.publisher = CheckpointPublisher(
            self.store, "runs/r/attempts/1/", directory, 0.01, self.published.append
        )

    def commit(self, step: int) -> None:
        Committer(self.directory, None, lambda step, epoch: None).commit(snapshot(step))


def test_checkpoints_are_commits_under_their_step(tmp_path: Path) -> None:
    """Protects take-over: key, step and content of a checkpoint belong together."""
    publishing = _Publishing(tmp_path)
    publishing.commit(7)
    assert publishing.publisher.publish()
    assert not publishing.publisher.publish()
    publishing.commit(9)
    assert publishing.publisher.publish()
    assert [entry.commit.step for entry in publishing.published] == [7, 9]
    key = publishing.published[-1].key
    assert key == "runs/r/attempts/1/checkpoints/000000000009.safetensors"
    content, _ = publishing.store.read(key)
    assert Snapshot.from_bytes(content).step == 9


def test_a_store_that_is_away_costs_checkpoints_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects training from an outage of the store: the thread tries again."""
    publishing = _Publishing(tmp_path)
    publishing.commit(7)
    upload = publishing.store.upload
    calls: list[str] = []
    done = threading.Event()

    def fail_twice(key: str, chunks: object) -> int:
        calls.append(key)
        if len(calls) <= 2:
            raise UnavailableError("away")
        done.set()
        return upload(key, chunks)  # type: ignore[arg-type]

    monkeypatch.setattr(publishing.store, "upload", fail_twice)
    publishing.publisher.start()
    assert done.wait(10)
    publishing.publisher.stop()
    assert len(calls) == 3


def test_a_commit_that_fails_costs_no_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last commit stays until one can be written; it is said once, not at every step."""
    told: list[int] = []
    committer = Committer(tmp_path, 1, lambda step, epoch: told.append(step))
    committer.commit(snapshot(1))
    (tmp_path / "commit.safetensors.new").mkdir()  # nothing can be written there
    for step in (2, 3):
        committer.commit(snapshot(step), wait=True)
        kept = read_commit(tmp_path)
        assert kept is not None and kept.step == 1
    (warning,) = caplog.messages
    assert warning.startswith("step 2 is not committed")
    (tmp_path / "commit.safetensors.new").rmdir()
    committer.commit(snapshot(4))
    assert told == [1, 4]
