"""What the documents say to type works as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.identity import Role
from common.testing.suite import RunningSuite
from tests.support.roles import required_roles

ROOT = Path(__file__).parents[2]
# A page has searches and trainings in it, each with a budget of its own.
_MOST_SECONDS = 300
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", *sorted(ROOT.glob("services/*/*.md")))
    if BLOCK.search(path.read_text())
]


def commands(page: str) -> str:
    """Returns the shell blocks of a page as one script."""
    return "\n".join(BLOCK.findall((ROOT / page).read_text()))


def rpcs(page: str) -> set[str]:
    """Returns the methods that a page's commands call."""
    return set(re.findall(r"(aimass\.\w+\.v1\.\w+/\w+)", commands(page)))


def run_as_user(suite: RunningSuite, command: list[str], folder: Path) -> str:
    """Runs a command as a user of that suite would. Returns what it prints."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **suite.environment,
        "AIMASS_HOME": str(suite.suite.home.path),
    }
    done = subprocess.run(
        command,
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_MOST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(_MOST_SECONDS + 20)
@pytest.mark.parametrize("page", PAGES)
def test_examples_run(suite: RunningSuite, page: str, tmp_path: Path) -> None:
    """Every example call of a page succeeds against a running suite."""
    run_as_user(suite, ["bash", "-euo", "pipefail", "-c", commands(page)], tmp_path)


def test_python_example_runs(suite: RunningSuite, table_version: str, tmp_path: Path) -> None:
    """The README's Python example finds the data that is there."""
    (example,) = PYTHON.findall((ROOT / "README.md").read_text())
    assert table_version.split("/")[1] in run_as_user(
        suite, [sys.executable, "-c", example], tmp_path
    )


def test_every_user_rpc_has_an_example() -> None:
    """A method without an example is one that nobody has tried by hand."""
    users = {
        method.removeprefix("/")
        for method, role in required_roles().items()
        if role is not Role.AGENT and method.startswith("/aimass.")
    }
    shown = set().union(*(rpcs(page) for page in PAGES))
    assert users <= shown, users - shown
