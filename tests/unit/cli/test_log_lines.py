"""Logs as people read them."""

import json
from itertools import islice
from pathlib import Path
from threading import Thread

from common.cli.log_lines import added_lines, last_lines, readable


def test_json_lines_become_readable() -> None:
    """Time, level, message and run; an exception keeps its traceback; other lines stay."""
    entry = {"time": "2026-11-24T07:01:02.345Z", "level": "INFO", "message": "starts"}
    assert readable(json.dumps(entry)) == "07:01:02.345 INFO    starts"
    entry |= {"run": "trainingRuns/a", "exception": "Traceback"}
    assert readable(json.dumps(entry)) == "07:01:02.345 INFO    starts (trainingRuns/a)\nTraceback"
    for line in ("plain text", "[1, 2]", "{}", ""):
        assert readable(line) == line


def test_following_goes_over_a_rotation(tmp_path: Path) -> None:
    """Lines that come after a log was emptied are shown, old ones not again."""
    log = tmp_path / "a.log"
    log.write_text("old\n" * 100)
    seen: list[str] = []
    lines = added_lines(log)
    reader = Thread(target=lambda: seen.extend(islice(lines, 2)))
    reader.start()
    log.write_text("first\nsecond\n")
    reader.join(10)
    assert seen == ["first", "second"]


def test_no_lines_are_asked_for(tmp_path: Path) -> None:
    """`-n 0 -f` begins with what comes."""
    log = tmp_path / "a.log"
    log.write_text("a\n")
    assert last_lines(log, 0) == []
    assert last_lines(log, 5) == ["a"]
