"""What the tests of deploy/ read: rendered manifests, the documented settings, module names."""

import importlib.util
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from deploy.kubernetes.render import Manifest, render

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| `(AIMASS_\w+)` \|", re.MULTILINE)


@cache
def manifests(overlay: str) -> tuple[Manifest, ...]:
    """Returns a rendered overlay."""
    return tuple(render(overlay))


def of_kind(overlay: str, *kinds: str) -> list[Manifest]:
    """Returns the objects of some kinds."""
    return [manifest for manifest in manifests(overlay) if manifest["kind"] in kinds]


def pods(overlay: str) -> dict[str, Manifest]:
    """Returns the pod templates by the name of what makes them."""
    return {
        manifest["metadata"]["name"]: manifest["spec"]["template"]
        for manifest in of_kind(overlay, "Deployment", "StatefulSet")
    }


def containers(pod: Manifest) -> list[dict[str, Any]]:
    """Returns the containers of a pod, those that start it included."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def documented_settings() -> set[str]:
    """Returns the variables of SETTINGS.md, which another test holds complete and true."""
    return set(_ROW.findall((ROOT / "SETTINGS.md").read_text()))


def missing_modules(commands: Iterable[list[str]]) -> Iterator[str]:
    """Yields the modules of `python -m` commands that do not exist."""
    for command in commands:
        if command[:2] == ["python", "-m"] and importlib.util.find_spec(command[2]) is None:
            yield command[2]
