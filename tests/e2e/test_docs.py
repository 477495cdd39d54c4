"""What the documents say to type works as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.interceptors.roles import REQUIRED, Role
from common.testing.suite import RunningSuite

ROOT = Path(__file__).parents[2]
PAGES = ["services/catalog/README.md", "services/trainer/README.md"]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: str) -> str:
    """Returns the shell blocks of a page as one script."""
    return "\n".join(BLOCK.findall((ROOT / page).read_text()))


def rpcs(page: str) -> set[str]:
    """Returns the methods that a page's commands call."""
    return set(re.findall(r"(aimass\.\w+\.v1\.\w+/\w+)", commands(page)))


@pytest.mark.parametrize("page", PAGES)
def test_examples_run(suite: RunningSuite, page: str, tmp_path: Path) -> None:
    """Every example call of a service's page succeeds against a running suite."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AIMASS_TOKEN": suite.token,
        "AIMASS_CATALOG_ADDRESS": suite.state.catalog_address,
        "AIMASS_TRAINER_ADDRESS": suite.state.trainer_address,
        "AIMASS_HOME": str(suite.suite.home.path),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands(page)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_every_user_rpc_has_an_example() -> None:
    """A method without an example is one that nobody has tried by hand."""
    users = {
        method.removeprefix("/")
        for method, role in REQUIRED.items()
        if role is not Role.AGENT and method.startswith("/aimass.")
    }
    shown = set().union(*(rpcs(page) for page in PAGES))
    assert users <= shown, users - shown
