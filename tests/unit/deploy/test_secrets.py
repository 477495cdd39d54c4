"""Secrets reach a container as files, of the modes that platforms give them."""

import json
import os
from pathlib import Path

import pytest

from common.artifacts.settings import StoreSettings
from common.config import SECRETS_DIR_VARIABLE, ClientSettings
from common.serving.interceptors import TokenTable
from services.trainer.agent.settings import interface_of


def test_secrets_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token in a mounted file is used; one in the environment goes before it."""
    (tmp_path / "aimass_token").write_text("from-file\n")
    (tmp_path / "aimass_s3_secret_key").write_text("key")
    monkeypatch.setenv(SECRETS_DIR_VARIABLE, str(tmp_path))
    monkeypatch.delenv("AIMASS_TOKEN", raising=False)
    monkeypatch.delenv("AIMASS_S3_SECRET_KEY", raising=False)
    assert ClientSettings().token == "from-file"
    assert StoreSettings().secret_key == "key"
    monkeypatch.setenv("AIMASS_TOKEN", "from-environment")
    assert ClientSettings().token == "from-environment"


@pytest.mark.parametrize(
    ("owner", "mode", "is_accepted"),
    [(0, 0o440, True), (0, 0o444, False), (0, 0o660, False), (4321, 0o440, False)],
)
def test_group_may_read_tokens_of_root_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, is_accepted: bool
) -> None:
    """Kubernetes gives secrets to root and to the pod's group; a user's own file stays private."""
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"tokens": []}))
    path.chmod(mode)
    real = path.stat()
    values = [*real[:4], owner, *real[5:]]
    monkeypatch.setattr(Path, "stat", lambda self, **_: os.stat_result(values))
    if is_accepted:
        TokenTable.from_file(path)
    else:
        with pytest.raises(ValueError, match="chmod 600"):
            TokenTable.from_file(path)


def test_interface_of_a_name() -> None:
    """Compose knows containers by name: the interface is that of the name's address."""
    assert interface_of("localhost") == interface_of("127.0.0.1") == "lo"
