"""Bounded logs."""

import os
import time
from pathlib import Path

from common.local import logs


def test_rotation_keeps_the_writers_descriptor(tmp_path: Path) -> None:
    """A process that writes on after a rotation writes into the new, small file."""
    log = tmp_path / "trainer.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(5):
            writer.write(b"%d" % number * 100)
            assert logs.rotate(log, max_bytes=100, kept=3)
        writer.write(b"after\n")
    assert log.read_bytes() == b"after\n"
    kept = sorted(path.name for path in tmp_path.glob("trainer.log.*"))
    assert kept == ["trainer.log.1", "trainer.log.2", "trainer.log.3"]
    assert (tmp_path / "trainer.log.1").read_bytes() == b"4" * 100


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    """Nothing happens below the limit, or without a log."""
    log = tmp_path / "a.log"
    assert not logs.rotate(log)
    log.write_text("short\n")
    assert not logs.rotate(log)


def test_last_line_skips_empty_lines(tmp_path: Path) -> None:
    """The last words of a process are quoted in its status."""
    log = tmp_path / "a.log"
    assert logs.last_line(log) == ""
    log.write_text("x" * 9000 + "\nfirst\nImportError: no module\n\n")
    assert logs.last_line(log) == "ImportError: no module"


def test_logs_of_old_runs_go_away(tmp_path: Path) -> None:
    """Every run leaves a log; they do not pile up for ever."""
    for name in ("trainer.log", "trainingRuns-a.log"):
        (tmp_path / name).write_text("x\n")
    os.utime(tmp_path / "trainingRuns-a.log", (1, 1))
    logs.tidy(tmp_path, now=time.time())
    assert [path.name for path in tmp_path.iterdir()] == ["trainer.log"]
