"""Settings of the store."""

import subprocess
import sys

import pytest

from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects deployments: the documented variables are those that count."""
    for name, value in {
        "ENDPOINT": "store:9000",
        "ACCESS_KEY": "name",
        "SECRET_KEY": "very-secret",
        "BUCKET": "models",
        "SECURE": "true",
        "REGION": "eu-1",
    }.items():
        monkeypatch.setenv(f"AIMASS_S3_{name}", value)
    settings = StoreSettings()
    assert settings.endpoint == "store:9000"
    assert settings.secure
    assert "very-secret" not in repr(settings)
    assert open_store(settings).bucket == "models"


def test_naming_the_settings_loads_no_sdk() -> None:
    """Protects the start-up time of processes that open no store."""
    code = (
        "import sys, common.artifacts, common.artifacts.memory, common.records;"
        "print('minio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
