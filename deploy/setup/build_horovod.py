"""Builds Horovod against the installed torch, once per torch and Python, and installs it."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from deploy.setup import step

VERSION = "0.28.1"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
# NCCL needs the CUDA toolkit: HOROVOD_GPU_OPERATIONS=NCCL make setup
GPU = os.environ.get("HOROVOD_GPU_OPERATIONS", "")
BUILD_SETTINGS = {
    "HOROVOD_WITH_GLOO": "1",
    "HOROVOD_WITHOUT_MPI": "1",
    "HOROVOD_WITH_PYTORCH": "1",
    "HOROVOD_WITHOUT_TENSORFLOW": "1",
    "HOROVOD_WITHOUT_MXNET": "1",
    "MAKEFLAGS": f"-j{min(os.cpu_count() or 1, 8)}",
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
}
# torch 2.13 needs C++20; the release asks for 14 in these two places.
PATCHED = ("CMakeLists.txt", "horovod/torch/CMakeLists.txt")


def cache_folder() -> Path:
    """Returns where the wheel for this torch, Python and machine is kept."""
    parts = ["horovod", VERSION, f"torch{torch_version()}", sys.implementation.cache_tag]
    parts += [platform.machine(), GPU.lower() or "cpu"]
    return step.CACHE / "wheels" / "-".join(parts)


def torch_version() -> str:
    """Returns torch's version with the build, for example `2.13.0+cu130`, without importing it."""
    files = importlib.metadata.files("torch") or []
    version_file = next(file for file in files if str(file) == "torch/version.py")
    found = re.search(r"__version__ = '([^']+)'", version_file.read_text())
    return found.group(1) if found else importlib.metadata.version("torch")


def build(target: Path) -> None:
    """Builds the wheel into `target`, which appears only when complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        source = unpack_source(Path(scratch))
        for name in PATCHED:
            use_cpp20(source / name)
        wheels = Path(scratch) / "wheels"
        command = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels)]
        step.run("Horovod (built once, 2 to 4 minutes)", [*command, str(source)], BUILD_SETTINGS)
        wheels.rename(target)


def unpack_source(folder: Path) -> Path:
    """Downloads and unpacks the source release. Returns its folder."""
    download = [*PIP, "download", "--no-deps", "--no-build-isolation", "--no-binary", ":all:"]
    step.run(
        "Horovod's source",
        [*download, "--dest", str(folder), f"horovod=={VERSION}"],
        BUILD_SETTINGS,
    )
    with tarfile.open(next(folder.glob("horovod-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"horovod-{VERSION}"


def use_cpp20(cmake_file: Path) -> None:
    """Raises the C++ standard that a CMake file asks for to 20."""
    text = cmake_file.read_text()
    if "set(CMAKE_CXX_STANDARD 14)" not in text:
        raise step.StepError(f"{cmake_file.name} of Horovod {VERSION} is not as expected")
    standard = text.replace("set(CMAKE_CXX_STANDARD 14)", "set(CMAKE_CXX_STANDARD 20)")
    cmake_file.write_text(standard)


def is_installed(wheel: Path) -> bool:
    """Whether this very wheel is installed in this environment."""
    return stamp().exists() and stamp().read_text() == str(wheel.parent.name)


def stamp() -> Path:
    """Returns the file that says which build is installed."""
    return Path(sys.prefix) / "aimass-horovod"


def main() -> None:
    """Builds what is not cached and installs what is not installed."""
    folder = cache_folder()
    if not folder.exists():
        build(folder)
    wheel = next(folder.glob("*.whl"))
    if is_installed(wheel):
        return
    install = [*PIP, "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall"]
    step.run("Horovod into .venv", [*install, str(wheel)])
    check = [sys.executable, "-c", "import horovod.torch"]
    subprocess.run(check, check=True, timeout=120)
    stamp().write_text(folder.name)


if __name__ == "__main__":
    try:
        main()
    except step.StepError as error:
        sys.exit(str(error))
