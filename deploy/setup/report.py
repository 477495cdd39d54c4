"""Says in four lines what the set-up found."""

import importlib.metadata
import os
import platform
import subprocess
import sys

from deploy.setup import build_horovod, build_store

FEATURES = (
    "import horovod.torch as hvd; print(', '.join(name for name, built in "
    "[('Gloo', hvd.gloo_built()), ('MPI', hvd.mpi_built()), ('NCCL', hvd.nccl_built())] if built))"
)


def store_line() -> str:
    """Returns which store the suite will use."""
    endpoint = os.environ.get("AIMASS_S3_ENDPOINT")
    if endpoint:
        return f"{endpoint} (AIMASS_S3_ENDPOINT)"
    minio = build_store.find_minio()
    return f"MinIO, {minio}" if minio else "SeaweedFS (MinIO could not be built)"


def main() -> None:
    """Prints the four lines."""
    features = subprocess.run(
        [sys.executable, "-c", FEATURES], capture_output=True, text=True, check=True
    ).stdout.strip()
    print(f"  python   {platform.python_version()}, aimass {importlib.metadata.version('aimass')}")
    print(f"  torch    {build_horovod.torch_version()}")
    print(f"  horovod  {build_horovod.VERSION} with {features}")
    print(f"  store    {store_line()}")


if __name__ == "__main__":
    main()
