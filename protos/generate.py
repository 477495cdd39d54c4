"""Generates the stubs under `protos/gen` and the descriptor image that `buf` checks."""

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


def generate(image: Path) -> None:
    """Writes the stubs and the descriptor image.

    Args:
        image: Where the serialised `FileDescriptorSet` with comments goes.
    """
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "aimass").rglob("*.proto"))
    shutil.rmtree(GEN / "aimass", ignore_errors=True)
    GEN.mkdir(exist_ok=True)
    image.parent.mkdir(parents=True, exist_ok=True)
    well_known = Path(protoc.__file__).parent / "_proto"
    includes = [f"-I{ROOT}", f"-I{GOOGLE}", f"-I{well_known}"]
    outputs = ["python", "grpc_python", "mypy", "mypy_grpc"]
    run_protoc([*includes, *(f"--{output}_out={GEN}" for output in outputs), *sources])
    describe = ["--include_imports", "--include_source_info", f"--descriptor_set_out={image}"]
    run_protoc([*includes, *describe, *sources])
    (GEN / "aimass" / "py.typed").touch()


def run_protoc(arguments: list[str]) -> None:
    """Runs the compiler in a process of its own, with the plugins of this environment on PATH."""
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    command = [sys.executable, "-m", "grpc_tools.protoc", *arguments]
    subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
