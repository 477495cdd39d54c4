import threading
from pathlib import Path

import pytest
import torch

from aimass.trainer.v1 import agents_pb2
from common.artifacts.memory import MemoryStore
from common.errors import UnavailableError
from services.trainer.worker import committing
from services.trainer.worker.commits import newest_commit, read_commit
from services.trainer.worker.committing import Committer
from services.trainer.worker.publishing import CheckpointPace, CheckpointPublisher
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


def test_commits_are_what_the_state_was(tmp_path: Path) -> None:
    """Protects the copy: steps that follow do not show in the file, whichever of the two it is."""
    committer = Committer(tmp_path, None, lambda step, epoch: None)
    for step, values in ((3, 1000), (4, 10), (5, 2000), (6, 20)):
        state = snapshot(step, values)
        assert committer.commit(state)
        state.tensors["parameters"].fill_(-1)
        content = Snapshot.from_bytes((tmp_path / "commit.safetensors").read_bytes())
        assert content.step == step
        assert torch.equal(content.tensors["parameters"], torch.full((values,), float(step)))


def test_commits_take_turns_in_memory_that_is_there(tmp_path: Path) -> None:
    """Protects the cost of a commit: new memory would take twice the copy's time."""
    committer = Committer(tmp_path, None, lambda step, epoch: None)
    seen = set()
    for step in range(6):
        committer.commit(snapshot(step))
        seen.add((tmp_path / "commit.safetensors").stat().st_ino)
    assert len(seen) == 2


def test_a_commit_that_is_read_stays_as_it_is(tmp_path: Path) -> None:
    """Protects checkpoints: uploading one takes longer than writing the next commits."""
    committer = Committer(tmp_path, None, lambda step, epoch: None)
    for step in (1, 2, 3):
        committer.commit(snapshot(step, 1000))
    with newest_commit(tmp_path) as file:
        for step in (4, 5, 6):
            assert committer.commit(snapshot(step, 1000))
        assert Snapshot.from_bytes(file.read()).step == 3
    with newest_commit(tmp_path) as file:
        assert Snapshot.from_bytes(file.read()).step == 6


def test_readers_see_whole_commits_only(tmp_path: Path) -> None:
    """Protects everyone who reads while training goes on: agents, checkpoints, the next world."""
    committer = Committer(tmp_path, None, lambda step, epoch: None)
    committer.commit(snapshot(0, 50_000))
    ending = threading.Event()

    def commit_on() -> None:
        step = 0
        while not ending.is_set():
            step += 1
            committer.commit(snapshot(step, 50_000 + 7 * (step % 5)))

    writer = threading.Thread(target=commit_on)
    writer.start()
    try:
        for _ in range(200):
            with newest_commit(tmp_path) as file:
                found = Snapshot.from_bytes(file.read())
            values = found.tensors["parameters"]
            assert torch.equal(values, torch.full_like(values, float(found.step)))
    finally:
        ending.set()
        writer.join()


def test_the_interval_follows_the_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects steps from commits: steps as long as a commit have one in 100."""
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)

    def write(directory: Path, content: object) -> None:
        nonlocal now
        now += 0.1

    monkeypatch.setattr(committing, "write_commit", write)
    committer = Committer(tmp_path, None, lambda step, epoch: None)
    due = []
    for step in range(1, 260):
        now += 0.1
        if committer.is_due(step):
            due.append(step)
            committer.commit(snapshot(step))
    assert due[1] - due[0] == due[2] - due[1] == 100


def test_checkpoints_come_as_often_as_they_cost_little() -> None:
    """Protects the interval: as asked for, or by what uploads take, an outage aside."""
    chosen = CheckpointPace(5)
    chosen.note(3.0)
    assert chosen.seconds == 5
    pace = CheckpointPace(None)
    assert pace.seconds == 30
    for taken, seconds in ((0.5, 30), (200.0, 30), (1.2, 30), (1.2, 60), (1.2, 60), (60.0, 60)):
        pace.note(taken)
        assert pace.seconds == pytest.approx(seconds)
    for _ in range(10):
        pace.note(1e3)
    assert pace.seconds == 900


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
        assert not committer.commit(snapshot(step))
        kept = read_commit(tmp_path)
        assert kept is not None and kept.step == 1
    (warning,) = caplog.messages
    assert warning.startswith("step 2 is not committed")
    (tmp_path / "commit.safetensors.new").rmdir()
    committer.commit(snapshot(4))
    assert told == [1, 4]
