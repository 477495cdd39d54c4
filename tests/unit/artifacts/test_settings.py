"""Settings of the store."""

import subprocess
import sys
from datetime import timedelta

import pytest
from pydantic import ValidationError

from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.artifacts.urls import presigned_url


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


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example.com/s3",
        "files.example.com:9000",
        "files.example.com",
        "ftp://files.example.com",
        "https://",
        "https://files.example.com:90000",
        "https://files.example.com?x=1",
        "https://name:word@files.example.com",
    ],
)
def test_an_address_for_clients_that_cannot_work_is_refused(url: str) -> None:
    """Protects from links that lead nowhere: found at the start, not by who follows one."""
    with pytest.raises(ValidationError, match="public_url"):
        StoreSettings(public_url=url)


@pytest.mark.parametrize("url", ["https://files.example.com", "http://[::1]:9000", "http://s3/"])
def test_links_lead_to_the_address_for_clients(url: str) -> None:
    """What is accepted stands before the bucket, whole."""
    settings = StoreSettings(public_url=url, access_key="a", secret_key="b")
    address = presigned_url(settings, "runs/x", timedelta(minutes=1))
    assert address.startswith(f"{url.rstrip('/')}/aimass/runs/x?")


def test_only_pages_open_in_a_browser() -> None:
    """A report is looked at; a file of somebody's that is no page must not run scripts as one."""
    settings = StoreSettings(access_key="a", secret_key="b")
    page, file = (
        presigned_url(settings, key, timedelta(minutes=1)) for key in ("runs/x.html", "runs/html")
    )
    assert "response-content-type=text%2Fhtml" in page
    assert "response-content" not in file


def test_naming_the_settings_loads_no_sdk() -> None:
    """Protects the start-up time of processes that open no store."""
    code = (
        "import sys, common.artifacts, common.artifacts.memory, common.records;"
        "print('minio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
