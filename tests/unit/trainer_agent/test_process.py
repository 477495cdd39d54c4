"""What passes between a worker and its agent without gRPC: board, reports, output, commits."""

import os
import threading
from pathlib import Path

import numpy as np
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from aimass.trainer.v1 import agents_pb2
from services.trainer.agent.output import MAX_LINE, LineCutter
from services.trainer.worker.commits import FILE_NAME, read_commit
from services.trainer.worker.process import (
    Disturbance,
    ProgressBoard,
    ReportParser,
    ReportPipe,
)


def test_board_is_shared() -> None:
    """What each worker writes, the agent reads, and the request for a commit the other way."""
    descriptor = ProgressBoard.create(2)
    agent = ProgressBoard(descriptor, 2)
    workers = [ProgressBoard(descriptor, 2, rank) for rank in range(2)]
    assert agent.read().steps == (-1, -1)
    assert agent.read().commit_step == -1
    workers[1].finish_step(7)
    workers[0].beat()
    assert agent.read().steps == (-1, 7)
    assert agent.read().beats == (1, 1)
    agent.request_commit()
    assert all(worker.commit_requested() for worker in workers)
    workers[1].committed(6, 2)
    assert (agent.read().commit_step, agent.read().commit_epoch) == (6, 2)
    assert agent.read().steps == (-1, 7)
    assert workers[0].commit_requested(), "an older commit does not answer the request"
    assert not agent.read().is_settled
    for board in (agent, *workers):
        board.close()
    os.close(descriptor)


def test_one_worker_is_disturbed() -> None:
    """A fault hits the worker that it is meant for, until it is taken back."""
    descriptor = ProgressBoard.create(2)
    agent = ProgressBoard(descriptor, 2)
    workers = [ProgressBoard(descriptor, 2, rank) for rank in range(2)]
    agent.disturb(1, Disturbance.SLOW)
    found = [worker.disturbance() for worker in workers]
    assert found == [Disturbance.NONE, Disturbance.SLOW]
    agent.disturb(1, Disturbance.NONE)
    assert workers[1].disturbance() is Disturbance.NONE
    for board in (agent, *workers):
        board.close()
    os.close(descriptor)


def test_worker_holds_still_after_the_commit_it_was_asked_for() -> None:
    """The agent sees that no step follows, while the worker waits to be killed."""
    descriptor = ProgressBoard.create(1)
    agent, worker = ProgressBoard(descriptor, 1), ProgressBoard(descriptor, 1)
    agent.request_commit()
    worker.finish_step(4)
    committing = threading.Thread(target=worker.committed, args=(4, 1))
    committing.start()
    while not agent.read().is_settled:
        assert committing.is_alive()
    beats = agent.read().beats
    while agent.read().beats == beats:
        assert committing.is_alive(), "it gives no sign of life"
    assert agent.read().commit_step == 4
    committing.join()
    assert not agent.read().is_settled, "nobody killed it: it goes on"
    for board in (agent, worker):
        board.close()
    os.close(descriptor)


@given(st.lists(st.text(max_size=50), max_size=5), st.integers(1, 40))
def test_reports_survive_any_cut(texts: list[str], size: int) -> None:
    """However the pipe cuts the bytes, the reports come out whole and in order."""
    read, write = os.pipe()
    pipe = ReportPipe(write, world=3, rank=1)
    for text in texts:
        report = agents_pb2.WorkerReport()
        report.log_line.text = text
        pipe.send(report)
    os.close(write)
    parser = ReportParser()
    found: list[agents_pb2.WorkerReport] = []
    while data := os.read(read, size):
        found += parser.feed(data)
    os.close(read)
    assert [report.log_line.text for report in found] == texts
    assert all((report.world, report.rank) == (3, 1) for report in found)


def test_lines_are_cut_and_decoded() -> None:
    """Lines come when they are complete; bytes that are no text, and endless lines, do no harm."""
    cutter = LineCutter()
    assert cutter.feed(b"one\ntw") == ["one"]
    assert cutter.feed(b"o\n\xff\n\n") == ["two", "\ufffd"]
    assert [len(line) for line in cutter.feed(b"x" * (MAX_LINE + 1))] == [MAX_LINE]
    assert cutter.feed(b"rest") == []
    assert cutter.finish() == ["rest"]


def test_flood_is_held_back_and_counted() -> None:
    """A worker that prints without end does not fill the events; what is missing is said."""
    now = 0.0
    cutter = LineCutter(lambda: now)
    assert len(cutter.feed(b"x\n" * 1000)) == 200
    now = 1.0
    assert cutter.feed(b"y\n") == ["(800 lines left out)", "y"]


def test_commit_header_is_read(tmp_path: Path) -> None:
    """The agent learns which step a commit holds without loading it, and survives any file."""
    assert read_commit(tmp_path) is None
    path = tmp_path / FILE_NAME
    metadata = {"step": "12", "epoch": "2"}
    safetensors.numpy.save_file({"w": np.zeros(1000)}, path, metadata)
    assert read_commit(tmp_path) == agents_pb2.Commit(step=12, epoch=2)
    for damaged in (b"", b"\xff" * 100, path.read_bytes()[:20]):
        path.write_bytes(damaged)
        assert read_commit(tmp_path) is None
