"""Says in one message what is missing on this machine. Runs on any Python 3, first of all."""

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator

NEEDED_PYTHON = (3, 11)
NEEDED_FREE_GIB = 10
COMPILERS = ("c++", "g++", "clang++")


def missing() -> "Iterator[str]":
    """Yields a sentence for each thing that is missing, with the cure."""
    if platform.system() != "Linux":
        yield f"Linux is needed; this is {platform.system()}."
    if sys.version_info < NEEDED_PYTHON:
        yield (
            f"Python 3.11 or newer is needed; {sys.executable} is {platform.python_version()}. "
            "Name another: make PYTHON=python3.12"
        )
    elif importlib.util.find_spec("ensurepip") is None:
        yield "Python's venv module is needed. On Debian and Ubuntu: apt install python3-venv"
    if not any(shutil.which(name) for name in [os.environ.get("CXX") or "c++", *COMPILERS]):
        yield "A C++ compiler is needed, to build Horovod. On Debian and Ubuntu: apt install g++"
    if not os.path.exists(".venv"):
        free = shutil.disk_usage(".").free / 2**30
        if free < NEEDED_FREE_GIB:
            yield f"{NEEDED_FREE_GIB} GiB of free disk are needed here; {free:.1f} GiB are free."


def main() -> None:
    """Prints what is missing and fails, or prints nothing."""
    problems = list(missing())
    if problems:
        print("aimass cannot be set up yet:", file=sys.stderr)
        for problem in problems:
            print(f"  - {problem}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
