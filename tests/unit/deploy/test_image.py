"""The image carries what its services need, locked, and no more; compose starts it confined."""

import importlib.resources
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.image.packages import blocks, requirements_of
from deploy.setup.step import StepError
from tests.support.deployment import ROOT, documented_settings, missing_modules

DOCKERFILE = ROOT / "deploy/image/Dockerfile"
COMPOSE = ROOT / "deploy/compose/compose.yaml"
IGNORE = ROOT / "deploy/image/Dockerfile.dockerignore"


@cache
def stages() -> dict[str, str]:
    """Returns the text of each stage of the Dockerfile by its name."""
    parts = re.split(r"^FROM .* AS (\S+)$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_dockerfile_has_no_faults() -> None:
    """Hadolint finds nothing."""
    hadolint = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert not result.stdout
    assert result.returncode == 0


def test_final_stages_are_lean() -> None:
    """The images that run have neither compiler nor the set-up, and no root."""
    text = DOCKERFILE.read_text()
    for name in ("suite", "store"):
        assert f"FROM python AS {name}\n" in text
        assert not re.search(r"g\+\+|pip |COPY deploy|COPY common", stages()[name])
        assert re.search(r"^USER 10001:0$", stages()[name], re.MULTILINE)
        assert "HEALTHCHECK" in stages()[name]


def test_lightgbm_finds_its_openmp() -> None:
    """Its wheel takes the system's libgomp, which a slim image has not: no search would start."""
    assert any(each.startswith("lightgbm") for each in requirements_of(["tuner"], extras()))
    assert "libgomp1" in stages()["suite"]


def test_what_the_build_copies_is_there() -> None:
    """Files and stages that are copied exist, and the context holds them."""
    context = {line[1:] for line in IGNORE.read_text().splitlines() if line.startswith("!")}
    for stage in stages().values():
        for origin in re.findall(r"^COPY --from=(\S+)", stage, re.MULTILINE):
            assert origin in stages()
        for line in re.findall(r"^COPY (?!--)(.*)$", stage, re.MULTILINE):
            for source in line.split()[:-1]:
                assert (ROOT / source).exists()
                assert source in context
    assert all(each in DOCKERFILE.read_text() for each in context)


@cache
def extras() -> dict[str, list[str]]:
    """Returns the extras of pyproject.toml."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return dict(project["optional-dependencies"])


def test_every_service_has_an_environment() -> None:
    """The extras that can be built are those of the services, and `all`."""
    built = {name.partition("-")[2] for name in stages() if name.startswith("environment-")}
    assert built == {"catalog", "trainer", "outlier", "analyzer", "tuner", "pruner", "all"}
    assert built <= extras().keys()


def test_extras_bring_the_extras_they_name() -> None:
    """The catalog's image has no torch; `all` has everything that a service needs."""
    catalog, everything = requirements_of(["catalog"], extras()), requirements_of(["all"], extras())
    assert not [each for each in catalog if each.startswith(("torch", "aimass"))]
    assert set(catalog) < set(everything)
    assert set(extras()["server"]) <= set(catalog)
    with pytest.raises(StepError, match="there is no extra nothing"):
        requirements_of(["nothing"], extras())


def test_locked_packages_are_found_with_their_hashes() -> None:
    """A package that is installed without its hash could be anything."""
    lock = (ROOT / "requirements.lock").read_text()
    found = blocks(lock)
    assert sum(block.count("==") for block in found.values()) == lock.count("==")
    assert {"grpcio", "pydantic-settings", "duckdb"} <= found.keys()
    assert all("==" in block and "--hash=sha256:" in block for block in found.values())


@cache
def services() -> dict[str, dict[str, Any]]:
    """Returns the services of the compose file."""
    return dict(yaml.safe_load(COMPOSE.read_text())["services"])


def test_compose_accepts_the_file() -> None:
    """Docker Compose itself reads the file and finds nothing that it does not know."""
    binary = importlib.resources.files("compose") / "docker-compose"
    command = [str(binary), "--file", str(COMPOSE), "config", "--quiet"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", services())
def test_compose_services_are_confined(name: str) -> None:
    """No root, no capabilities, a root file system that cannot be written, secrets as files."""
    service = services()[name]
    assert service["user"].endswith(":0") and not service["user"].startswith("0")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert not [key for key in service["environment"] if key.endswith(("_TOKEN", "_SECRET_KEY"))]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", services())
def test_compose_settings_and_modules_exist(name: str) -> None:
    """A variable that nothing reads, or a module that is gone, breaks a deployment only."""
    service = services()[name]
    used = {each for each in service["environment"] if each.startswith("AIMASS_")}
    assert not used - documented_settings()
    assert not list(missing_modules([service.get("command", [])]))


def test_image_settings_exist() -> None:
    """The image's own settings are read by something."""
    used = set(re.findall(r"\b(AIMASS_\w+)=", DOCKERFILE.read_text()))
    assert used
    assert not used - documented_settings()
    commands = re.findall(r'\["python", "-m", "([\w.]+)"', DOCKERFILE.read_text())
    commands += re.findall(r"python -m (deploy[\w.]+)", DOCKERFILE.read_text())
    assert not list(missing_modules(["python", "-m", each] for each in commands))
