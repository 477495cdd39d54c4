"""Environments of rivals, each apart from ours and made when it is first needed."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.harness import ROOT, say

ENVIRONMENTS = ROOT / "build" / "rivals"


class UnavailableError(Exception):
    """An environment cannot be made here."""


@dataclass(frozen=True)
class Environment:
    """What a rival runs in.

    Attributes:
        rival: As people know it.
        folder: In `ENVIRONMENTS`.
        steps: What pip is told to install, with versions, call by call.
        python: Version of Python, for instance `3.9`; empty for ours.
    """

    rival: str
    folder: str
    steps: tuple[tuple[str, ...], ...]
    python: str = ""


def interpreter(environment: Environment) -> Path:
    """Returns the Python of an environment, which is made where it is not there.

    Raises:
        UnavailableError: It cannot be made.
    """
    folder = ENVIRONMENTS / environment.folder
    ready = folder / "ready"
    wanted = "\n".join(each for step in environment.steps for each in step)
    if not ready.exists() or ready.read_text() != wanted:
        say(f"Making the environment of {environment.rival} in {folder.relative_to(ROOT)}")
        _make(environment, folder)
        ready.write_text(wanted)
    return folder / "bin" / "python"


def _make(environment: Environment, folder: Path) -> None:
    python = _python(environment.python) if environment.python else sys.executable
    # What is built from source finds the tools that were installed before it.
    paths = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    try:
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        for step in environment.steps:
            subprocess.run([*pip, *step], check=True, env=paths)
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"{error.cmd[:6]} ended with {error.returncode}") from error


def _python(version: str) -> str:
    """Returns an interpreter of a version, from the path or from pyenv."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python{version}"))
    found = shutil.which(f"python{version}")
    for path in [*([found] if found else []), *map(str, kept)]:
        # On the path may be a stand-in of pyenv for a version that is not chosen.
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    raise UnavailableError(f"there is no Python {version}")
