"""Hostile archives are refused before they can do harm."""

import io
import stat
import struct
import zipfile
from pathlib import Path
from unittest.mock import patch

import pytest

from common.errors import InvalidFieldError
from services.catalog.domain.sources import zip_archive
from services.catalog.domain.sources.archive import ArchiveLimits, open_archive
from tests.unit.catalog.support import field_of, zip_of

SMALL = ArchiveLimits(max_files=10, max_file_bytes=10_000, max_total_bytes=20_000)


def read_all(content: bytes, folder: Path, limits: ArchiveLimits = SMALL) -> dict[str, bytes]:
    """Opens an archive and reads every file."""
    path = folder / "archive.zip"
    path.write_bytes(content)
    with open_archive(path, limits) as archive:
        return {info.filename: archive.read(info) for info in archive.files}


def refused(content: bytes, folder: Path, limits: ArchiveLimits = SMALL) -> str:
    """Returns what the caller is told."""
    with pytest.raises(InvalidFieldError) as caught:
        read_all(content, folder, limits)
    assert field_of(caught.value) == "dataset_import.spec.upload"
    return caught.value.message


def patched(content: bytes, old: bytes, new: bytes) -> bytes:
    """Replaces bytes everywhere; both have one length."""
    assert len(old) == len(new)
    assert old in content
    return content.replace(old, new)


def test_harmless_archive(tmp_path: Path) -> None:
    """Folders are passed over, files are read."""
    content = zip_of({"a/": b"", "a/x": b"1", "b": b"2" * 5000})
    assert read_all(content, tmp_path) == {"a/x": b"1", "b": b"2" * 5000}


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", "C:/x", "..", "a/.."]
)
def test_paths_that_leave_the_archive(name: str, tmp_path: Path) -> None:
    """A path that would land elsewhere is refused, although nothing is unpacked by its name."""
    assert "outside of the archive" in refused(zip_of({"fine": b"", name: b"x"}), tmp_path)


def test_name_with_a_zero_byte(tmp_path: Path) -> None:
    """Zipfile cuts names at a zero byte; what stands behind it must not go unseen."""
    content = patched(zip_of({"ab.png": b"x"}), b"ab.png", b"a\0.png")
    assert "no valid file name" in refused(content, tmp_path)


def test_symbolic_link(tmp_path: Path) -> None:
    """A link is refused whatever it points to."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "symbolic link" in refused(buffer.getvalue(), tmp_path)


def test_encrypted(tmp_path: Path) -> None:
    """A password cannot be asked for."""
    content = bytearray(zip_of({"a": b"x"}))
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1
    assert "encrypted" in refused(bytes(content), tmp_path)


def test_too_many_files(tmp_path: Path) -> None:
    """The number of entries is bounded."""
    content = zip_of({str(number): b"" for number in range(11)})
    assert "more than 10 entries" in refused(content, tmp_path)


def test_huge_table_of_contents(tmp_path: Path) -> None:
    """A table of contents is counted before it is read into memory, whatever it says of itself."""
    content = bytearray(zip_of({f"{number:0200d}": b"" for number in range(60)}))
    content[-14:-10] = bytes(4)  # no entries, it says
    with patch.object(zipfile, "ZipFile", side_effect=AssertionError("read too early")):
        assert "more than 10 entries" in refused(bytes(content), tmp_path)


def test_device(tmp_path: Path) -> None:
    """What is neither a file nor a folder is refused."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        device = zipfile.ZipInfo("tty")
        device.external_attr = (stat.S_IFCHR | 0o666) << 16
        archive.writestr(device, "")
    assert "a device" in refused(buffer.getvalue(), tmp_path)


@pytest.mark.parametrize("start", [b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"\xfd7zXZ\0"])
def test_other_archives(start: bytes, tmp_path: Path) -> None:
    """Archives of other kinds are named, with what to make instead."""
    assert "make a zip or tar archive" in refused(start + bytes(600), tmp_path)


@pytest.mark.parametrize("sizes", [(10_001,), (9_000, 9_000, 9_000)])
def test_too_large_once_unpacked(sizes: tuple[int, ...], tmp_path: Path) -> None:
    """One file and all files together are bounded by what the archive declares."""
    files = {str(number): bytes(size) for number, size in enumerate(sizes)}
    message = refused(zip_of(files), tmp_path)
    assert "unpacks to" in message


def test_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would grow beyond all measure is refused by name, before any of it is unpacked."""
    monkeypatch.setattr(zip_archive, "BOMB_BYTES", 1 << 20)
    message = refused(zip_of({"fine": b"x", "zeros": bytes(5_000_000)}), tmp_path, ArchiveLimits())
    assert "`zeros` grows to more than 200 times its size" in message
    assert "make the archive without compression" in message


def test_lie_about_the_unpacked_size(tmp_path: Path) -> None:
    """An entry that unpacks to more than it declares is caught while it is read."""
    content = zip_of({"bomb": bytes(5_000_000)})
    lie = patched(content, struct.pack("<L", 5_000_000), struct.pack("<L", 1_000))
    assert "damaged" in refused(lie, tmp_path)


def test_lie_that_promises_more(tmp_path: Path) -> None:
    """An entry that unpacks to less than it declares is damaged."""
    content = zip_of({"a": bytes(100)})
    lie = patched(content, struct.pack("<L", 100), struct.pack("<L", 101))
    message = refused(lie, tmp_path)
    assert "damaged" in message or "smaller" in message


def test_overlapping_entries(tmp_path: Path) -> None:
    """Entries that share their bytes, by which bombs grow quadratically, are refused."""
    content = bytearray(zip_of({"a": b"x" * 50, "b": b"y" * 50}, zipfile.ZIP_STORED))
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)
    content[second + 42 : second + 46] = struct.pack("<L", 0)
    assert "overlaps" in refused(bytes(content), tmp_path)


def test_same_name_twice(tmp_path: Path) -> None:
    """Which of two files would count is not for us to choose."""
    content = patched(zip_of({"aa": b"1", "ab": b"2"}), b"ab", b"aa")
    assert "twice" in refused(content, tmp_path)


def test_cut_off(tmp_path: Path) -> None:
    """An archive without its end is no archive."""
    content = zip_of({"a": bytes(range(256)) * 30})
    assert "not a zip archive" in refused(content[: len(content) // 2], tmp_path)


def test_damaged_data(tmp_path: Path) -> None:
    """A wrong byte in the data is found by the checksum."""
    content = bytearray(zip_of({"a": b"hello world" * 10}, zipfile.ZIP_STORED))
    content[40] ^= 1
    assert "damaged" in refused(bytes(content), tmp_path)
