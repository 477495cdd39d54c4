"""Installs the locked Python packages into this interpreter's environment."""

import hashlib
import sys
from pathlib import Path

from deploy.setup import step

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
TORCH_LOCK = Path(__file__).with_name("torch.lock")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
STAMP = Path(sys.prefix) / "aimass-packages"


def digest() -> str:
    """Returns a digest of all that decides what is installed."""
    files = [LOCK, TORCH_LOCK, ROOT / "pyproject.toml", Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def main() -> None:
    """Installs what the lock files say, unless it is installed already."""
    if STAMP.exists() and STAMP.read_text() == digest():
        return
    install = [*PIP, "install", "--quiet"]
    locked = ["--no-deps", "--require-hashes", "--requirement", str(LOCK)]
    step.run("Python packages", [*install, *locked])
    torch = ["--constraint", str(TORCH_LOCK), "torch"]
    step.run("PyTorch (up to 3 GB the first time)", [*install, *torch])
    step.run("aimass", [*install, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
    STAMP.write_text(digest())


if __name__ == "__main__":
    try:
        main()
    except step.StepError as error:
        sys.exit(str(error))
