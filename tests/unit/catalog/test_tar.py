"""Tar archives: what is in them arrives, and what is hostile does no harm."""

import io
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import InvalidFieldError
from services.catalog.domain.sources import tar_archive
from services.catalog.domain.sources.archive import ArchiveLimits
from tests.unit.catalog.test_archive import SMALL, read_all, refused

Alter = Callable[[tarfile.TarInfo], None]


def tar_of(files: dict[str, bytes], alter: Alter = lambda info: None) -> bytes:
    """Returns a tar archive; `alter` changes what it says of each entry."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            alter(info)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def of_type(kind: bytes) -> Alter:
    """Makes entries of another type."""

    def alter(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    return alter


def compressed(content: bytes, kind: str) -> bytes:
    """Compresses a whole archive."""
    if not kind:
        return content
    target = pa.BufferOutputStream()
    with pa.CompressedOutputStream(target, kind) as stream:
        stream.write(content)
    return bytes(target.getvalue())


@pytest.mark.parametrize("kind", ["", "gzip", "bz2", "zstd"])
def test_files_in_any_order(kind: str, tmp_path: Path) -> None:
    """Files are read by name whatever compresses them; `./` before a path is dropped."""
    content = tar_of({"./b/y": b"2" * 5000, "a/x": b"1", "c": b""})
    assert read_all(compressed(content, kind), tmp_path) == {
        "b/y": b"2" * 5000,
        "a/x": b"1",
        "c": b"",
    }


def test_long_names(tmp_path: Path) -> None:
    """Names beyond the header's 100 bytes come from extended headers."""
    name = "/".join(["d" * 90] * 4)
    assert list(read_all(tar_of({name: b"x"}), tmp_path)) == [name]


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", "C:/x"])
def test_paths_that_leave_the_archive(name: str, tmp_path: Path) -> None:
    """A path that would land elsewhere is refused."""
    assert "outside of the archive" in refused(tar_of({"fine": b"", name: b"x"}), tmp_path)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "`x` is a link"),
        (tarfile.LNKTYPE, "`x` is a link"),
        (tarfile.CHRTYPE, "`x` is a device"),
        (tarfile.BLKTYPE, "`x` is a device"),
        (tarfile.FIFOTYPE, "`x` is a device"),
    ],
)
def test_what_is_no_file(kind: bytes, words: str, tmp_path: Path) -> None:
    """Links and devices are refused by name, whatever they point to."""
    assert words in refused(tar_of({"x": b""}, of_type(kind)), tmp_path)


def test_same_name_twice(tmp_path: Path) -> None:
    """Which of two files would count is not for us to choose, `./` or not."""
    assert "twice" in refused(tar_of({"a": b"1", "./a": b"2"}), tmp_path)


@pytest.mark.parametrize("sizes", [(10_001,), (9_000, 9_000, 9_000)])
@pytest.mark.parametrize("kind", ["", "gzip"])
def test_too_large(sizes: tuple[int, ...], kind: str, tmp_path: Path) -> None:
    """One file and all files together are bounded."""
    content = tar_of({str(number): bytes(size) for number, size in enumerate(sizes)})
    assert "unpacks to" in refused(compressed(content, kind), tmp_path)


def test_too_many_entries(tmp_path: Path) -> None:
    """The number of entries is bounded."""
    content = tar_of({str(number): b"" for number in range(11)})
    assert "more than 10 entries" in refused(content, tmp_path)


def test_many_tiny_files_take_little_memory(tmp_path: Path) -> None:
    """An archive of too many files is refused in memory that does not grow with their number."""
    path = tmp_path / "archive.zip"
    with path.open("wb") as file:
        for number in range(6000):
            info = tarfile.TarInfo(f"a/{number:07d}.txt")
            file.write(info.tobuf())
        file.write(bytes(1024))
    refused(b"no archive", tmp_path)  # what is imported on first use does not count
    tracemalloc.start()
    refused(path.read_bytes(), tmp_path, ArchiveLimits(max_files=5900))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


@pytest.mark.parametrize("kind", ["gzip", "bz2", "zstd"])
def test_bomb(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What grows beyond all measure is not unpacked to its end."""
    monkeypatch.setattr(tar_archive, "BOMB_BYTES", 1 << 20)
    content = compressed(tar_of({"zeros": bytes(20_000_000)}), kind)
    message = refused(content, tmp_path, ArchiveLimits())
    assert "like a bomb" in message
    assert (tmp_path / "archive.zip.tar").stat().st_size < 4 << 20


@pytest.mark.parametrize("kind", ["", "gzip", "bz2", "zstd"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_cut_off(kind: str, share: float, tmp_path: Path) -> None:
    """An archive without its end is refused wherever it was cut."""
    files = {str(number): bytes(range(256)) * 4 for number in range(9)}
    content = tar_of(files)[: 9 * 1536 + 1024]
    whole = compressed(content, kind)
    assert "cut off" in refused(whole[: int(len(whole) * share)], tmp_path)


def test_cut_off_between_entries(tmp_path: Path) -> None:
    """An archive that ends where the next entry would begin lacks its end mark."""
    content = tar_of({"a": b"x" * 512, "b": b"y" * 512})
    assert "cut off" in refused(content[:1024], tmp_path)


def test_damaged_header(tmp_path: Path) -> None:
    """A header that cannot be read is not taken for the end of the archive."""
    content = bytearray(tar_of({"a": b"x", "b": b"y", "c": b"z"}))
    content[1024 + 10] ^= 0xFF
    assert "damaged" in refused(bytes(content), tmp_path)


def test_header_that_is_huge(tmp_path: Path) -> None:
    """An extended header that claims a gigabyte is not read into memory."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    assert "no tar archive" in refused(info.tobuf() + bytes(4096), tmp_path)


def test_header_without_end(tmp_path: Path) -> None:
    """Thousands of extended headers in a row are an error, not a crash."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 0
    assert "no tar archive" in refused(info.tobuf() * 5000 + bytes(1024), tmp_path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=8))
def test_changed_bytes(changes: list[tuple[int, int]], tmp_path: Path) -> None:
    """Whatever bytes are changed, the archive is read or refused: nothing else happens."""
    content = bytearray(tar_of({"a/1.txt": b"hello", "b/2.txt": b"world" * 200}))
    for position, value in changes:
        content[position % len(content)] = value
    try:
        read_all(bytes(content), tmp_path, SMALL)
    except InvalidFieldError as error:
        assert error.message
