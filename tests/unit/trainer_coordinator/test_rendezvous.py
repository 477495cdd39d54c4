"""The process that serves Horovod's rendezvous."""

import time
from pathlib import Path

import pytest

from services.trainer.coordinator.rendezvous import Rendezvous


def environment_of(pid: int) -> str:
    """Returns what a process was started with; the kernel shows it a moment after the start."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if seen := Path(f"/proc/{pid}/environ").read_text():
            return seen
    raise AssertionError("the process has no environment")


def test_it_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects token and keys from what unpickles the messages of workers, whatever their names."""
    for name in ("AIMASS_TOKEN", "AIMASS_S3_SECRET_KEY", "DATABASE_URL", "AIMASS_TOKEN_FILE"):
        monkeypatch.setenv(name, "a secret of the suite")
    monkeypatch.setenv("AIMASS_JOB", "job")
    rendezvous = Rendezvous("127.0.0.1")
    try:
        seen = environment_of(rendezvous._process.pid)
    finally:
        rendezvous.close()
    assert "a secret of the suite" not in seen
    variables = seen.split("\0")
    assert "AIMASS_JOB=job" in variables, "it is found with the run's other processes"
    assert any(each.startswith("PATH=") for each in variables)
