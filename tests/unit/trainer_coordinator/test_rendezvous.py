"""The process that serves Horovod's rendezvous."""

from pathlib import Path

import pytest

from common.secrets import is_secret
from services.trainer.coordinator.rendezvous import Rendezvous


def test_it_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects token and keys from what unpickles the messages of workers."""
    for name in ("AIMASS_TOKEN", "AIMASS_S3_SECRET_KEY", "AIMASS_S3_ACCESS_KEY"):
        monkeypatch.setenv(name, "a secret of the suite")
    monkeypatch.setenv("AIMASS_TOKEN_FILE", "/somewhere/tokens.json")
    rendezvous = Rendezvous("127.0.0.1")
    try:
        seen = Path(f"/proc/{rendezvous._process.pid}/environ").read_text()
    finally:
        rendezvous.close()
    assert "a secret of the suite" not in seen
    names = [each.partition("=")[0] for each in seen.split("\0")]
    assert "AIMASS_TOKEN_FILE" in names
    assert not [name for name in names if is_secret(name)]
