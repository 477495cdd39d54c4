"""Paths as they can be typed from here."""

import sys
from pathlib import Path


def program(name: str) -> str:
    """Returns the path of a program of this installation."""
    return shown(Path(sys.executable).parent / name)


def shown(path: Path) -> str:
    """Returns a path as short as it can be typed from here."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
