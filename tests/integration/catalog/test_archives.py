"""Archives through the real service: texts arrive, hostile ones leave nothing behind."""

import io
import tarfile
import uuid
import zipfile

import grpc
import pytest

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import run_pb2
from tests.integration.catalog.harness import Catalog, field_of, reason_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


def tar(kind: bytes = tarfile.REGTYPE) -> bytes:
    """Returns a compressed tar archive of texts whose last entry is of a kind."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for row in range(20):
            info = tarfile.TarInfo(f"{'ab'[row % 2]}/{row}.txt")
            info.size = 5
            archive.addfile(info, io.BytesIO(b"hello"))
        last = tarfile.TarInfo("b/last")
        last.type, last.linkname = kind, "/etc/passwd"
        archive.addfile(last)
    return buffer.getvalue()


def bomb() -> bytes:
    """Returns a zip archive of a few hundred kilobytes that unpacks to 300 MB."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a/zeros.txt", "w") as file,
    ):
        for _ in range(300):
            file.write(bytes(1 << 20))
    return buffer.getvalue()


async def test_texts(running: Catalog) -> None:
    """A compressed tar archive of texts becomes a column of texts and their labels."""
    done = await running.run(tar(), "t.tar.gz", f"datasets/t-{uuid.uuid4().hex[:8]}")
    assert done.status.state == run_pb2.RUN_STATE_SUCCEEDED, done.status.error
    version = await running.version(done.dataset_version)
    assert [column.name for column in version.schema.columns] == ["text", "label"]
    assert version.schema.columns[0].type == dataset_pb2.COLUMN_TYPE_TEXT
    assert version.schema.columns[0].missing_count == 1


@pytest.mark.parametrize(
    ("content", "filename", "reason"),
    [
        (tar(tarfile.SYMTYPE), "l.tgz", "BAD_ARCHIVE"),
        (tar()[:200], "c.tar.gz", "BAD_ARCHIVE"),
        (bomb(), "b.zip", "ARCHIVE_TOO_LARGE"),
        (b"x,y\n1,2\n", "w.tar", "BAD_ARCHIVE"),
    ],
)
async def test_hostile_archives(
    running: Catalog, content: bytes, filename: str, reason: str
) -> None:
    """A hostile archive fails the run as bad input; no data of it is stored."""
    done = await running.run(content, filename, f"datasets/h-{uuid.uuid4().hex[:8]}")
    assert done.status.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert (field_of(done.status.error), reason_of(done.status.error)) == (
        "dataset_import.spec.upload",
        reason,
    )
    keys = [info.key for info in running.store.list(f"runs/{done.name}/")]
    assert not any("/data/" in key for key in keys)
