"""Generates the stubs under `protos/gen` and the descriptor image that `buf` works on."""

import shutil
import subprocess
import sys
from pathlib import Path

import google.rpc.status_pb2
from grpc_tools import protoc

ROOT = Path(__file__).parent
GEN = ROOT / "gen"
# google/rpc/status.proto lies beside the stub that googleapis-common-protos installs.
GOOGLE = Path(google.rpc.status_pb2.__file__).parents[2]
INCLUDES = [f"-I{ROOT}", f"-I{GOOGLE}", f"-I{Path(protoc.__file__).parent / '_proto'}"]
PLUGINS = ["python", "grpc_python", "mypy", "mypy_grpc"]


def write_stubs() -> None:
    """Writes the stubs anew."""
    shutil.rmtree(GEN / "aimass", ignore_errors=True)
    GEN.mkdir(exist_ok=True)
    run_protoc([f"--{plugin}_out={GEN}" for plugin in PLUGINS])
    (GEN / "aimass" / "py.typed").touch()


def write_image(image: Path) -> None:
    """Writes all contracts, with their comments, as one serialised `FileDescriptorSet`."""
    image.parent.mkdir(parents=True, exist_ok=True)
    run_protoc(["--include_imports", "--include_source_info", f"--descriptor_set_out={image}"])


def run_protoc(outputs: list[str]) -> None:
    """Runs the compiler in a process of its own, with the plugins of this environment on PATH."""
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "aimass").rglob("*.proto"))
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    command = [sys.executable, "-m", "grpc_tools.protoc", *INCLUDES, *outputs, *sources]
    subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    write_stubs()
    write_image(Path(sys.argv[1]))
