"""Installs the locked packages of some extras only, so that an image carries no more than it runs.

`python -m deploy.image.packages EXTRA[,EXTRA...]`
"""

import json
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from deploy.setup import step
from deploy.setup.packages import LOCK, PIP, ROOT, TORCH_LOCK

_OWN_EXTRA = re.compile(r"aimass\[([\w,-]+)\]")
_REQUIREMENT = re.compile(r"^(?=\S)", re.MULTILINE)
_HASH = re.compile(r"\s*\\\s*--hash=\S+")


def requirements_of(extras: Iterable[str], table: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns what extras ask for, with the extras that they name themselves.

    Args:
        extras: Names of extras.
        table: Requirements of each extra, as in pyproject.toml.

    Raises:
        StepError: There is no such extra.
    """
    found = []
    for extra in extras:
        if extra not in table:
            raise step.StepError(f"there is no extra {extra}; there are {', '.join(sorted(table))}")
        for requirement in table[extra]:
            own = _OWN_EXTRA.fullmatch(requirement)
            found += requirements_of(own[1].split(","), table) if own else [requirement]
    return found


def blocks(lock: str) -> dict[str, str]:
    """Returns the requirements of a lock file with their hashes, by the package's name.

    A package may have several, each for other machines; they stay together.
    """
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, _REQUIREMENT.split(lock))):
        name = normal(re.split(r"[=<>; ]", part)[0])
        found[name] = f"{found[name]}\n{part}" if name in found else part
    return found


def normal(name: str) -> str:
    """Returns a package's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(requirements: Iterable[str], constraints: str) -> set[str]:
    """Returns the names of all packages that the requirements bring along.

    Args:
        requirements: What is asked for.
        constraints: Versions that are allowed, one a line, without hashes.
    """
    with tempfile.TemporaryDirectory() as scratch:
        limits, report = Path(scratch) / "constraints.txt", Path(scratch) / "report.json"
        limits.write_text(constraints)
        resolve = ["install", "--dry-run", "--ignore-installed", "--quiet"]
        files = ["--constraint", str(limits), "--report", str(report)]
        step.run("What belongs together", [*PIP, *resolve, *files, *requirements])
        entries = json.loads(report.read_text())["install"]
    return {normal(entry["metadata"]["name"]) for entry in entries}


def main(extras: list[str]) -> None:
    """Installs what the extras need: locked versions, checked against the locked hashes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = requirements_of(extras, project["optional-dependencies"])
    locked = blocks(LOCK.read_text())
    torch_stack = blocks(TORCH_LOCK.read_text())
    plain = [_HASH.sub("", block) for block in locked.values()]
    constraints = "\n".join([*plain, *torch_stack.values()])
    names = closure([*project["dependencies"], *wanted], constraints)
    unlocked = names - locked.keys() - torch_stack.keys()
    if unlocked:
        raise step.StepError(f"not in the lock files: {', '.join(sorted(unlocked))}")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as subset:
        subset.write("\n".join(locked[name] for name in sorted(names & locked.keys())) + "\n")
        subset.flush()
        checked = ["--no-deps", "--require-hashes", "--requirement", subset.name]
        step.run("Packages", [*PIP, "install", "--quiet", *checked])
    if "torch" in names:
        torch = ["--constraint", str(TORCH_LOCK), "torch"]
        step.run("PyTorch", [*PIP, "install", "--quiet", *torch])


if __name__ == "__main__":
    try:
        main(sys.argv[1].split(","))
    except step.StepError as error:
        sys.exit(str(error))
