"""The process that serves Horovod's rendezvous."""

from pathlib import Path

import pytest

from services.trainer.coordinator.rendezvous import Rendezvous


def test_it_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects token and keys from what unpickles the messages of workers, whatever their names."""
    for name in ("AIMASS_TOKEN", "AIMASS_S3_SECRET_KEY", "DATABASE_URL", "AIMASS_TOKEN_FILE"):
        monkeypatch.setenv(name, "a secret of the suite")
    monkeypatch.setenv("AIMASS_JOB", "job")
    rendezvous = Rendezvous("127.0.0.1")
    try:
        seen = Path(f"/proc/{rendezvous._process.pid}/environ").read_text()
    finally:
        rendezvous.close()
    assert "a secret of the suite" not in seen
    variables = seen.split("\0")
    assert "AIMASS_JOB=job" in variables, "it is found with the run's other processes"
    assert any(each.startswith("PATH=") for each in variables)
