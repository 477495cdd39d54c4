"""How much memory an import takes."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.bounds import IMPORT_MEMORY_MB

_BLOCK = "".join(
    f"{i * 7919 % 99991 / 1000},{i % 97},city {i % 50},note {i * 31} of some length,{i % 3}\n"
    for i in range(20_000)
)
_PROGRAM = """
import re, sys
from pathlib import Path
from aimass.type.v1 import artifact_pb2
from services.catalog.domain.importer import import_source
from services.catalog.domain.sources.opening import open_source
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.spec import ImportSpec
path = Path(sys.argv[1])
spec = ImportSpec(dataset="datasets/d", upload="uploads/u")
publish = lambda file, name: artifact_pb2.ArtifactRef(uri=name, size_bytes=file.stat().st_size)
with open_source(path, DataFormat.CSV, path.parent, spec) as source:
    import_source(source, spec, path.parent, publish, lambda *news: None)
# Not getrusage: that counts what the parent had when it forked.
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
print(int(peak.group(1)) // 1024)
"""


def peak_megabytes(folder: Path, blocks: int) -> int:
    """Returns the most memory that the import of a file of about 1 MB a block takes."""
    folder.mkdir()
    path = folder / "table.csv"
    with path.open("w") as file:
        file.write("x,n,city,note,y\n")
        file.writelines(_BLOCK for _ in range(blocks))
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, path],
        capture_output=True,
        check=True,
        env=os.environ,
    )
    path.unlink()
    return int(done.stdout)


def test_bound(tmp_path: Path) -> None:
    """A file of 185 MB takes about half of the bound: little depends on its size."""
    assert peak_megabytes(tmp_path / "import", 200) < 0.6 * IMPORT_MEMORY_MB
