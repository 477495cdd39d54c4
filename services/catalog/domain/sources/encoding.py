"""Text files in any encoding as UTF-8, in bounded memory; the encoding is guessed where it must."""

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path

from charset_normalizer import from_bytes

from common.errors import InvalidFieldError
from services.catalog.domain import fields
from services.catalog.domain.fields import bad_file
from services.catalog.domain.sources.base import MAX_LINE_BYTES

UTF8 = "utf-8"

_CHUNK_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 16
_MARKS = {
    codecs.BOM_UTF8: UTF8,
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LIKE_UTF8 = (UTF8, "utf-8-sig", "ascii")
_WESTERN = "cp1252"
# Those in which tables are still written; the guess among all would be worse.
_GUESSED = [
    *(_WESTERN, "cp1250", "cp1251", "cp1253", "cp1254", "koi8_r"),
    *("cp932", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
    *("utf_16_le", "utf_16_be"),
]


def find_encoding(path: Path, given: str, *, whole: bool = False) -> str:
    """Returns Python's name of the encoding of a text file.

    Args:
        path: The file.
        given: Its encoding where it is known, else empty: then its byte order mark tells, or the
            first bytes that are not UTF-8.
        whole: Look for those in the whole file, instead of the first MiB.

    Returns:
        The encoding; UTF-8 where nothing speaks for another one.

    Raises:
        InvalidFieldError: There is no encoding of the name that was given.
    """
    if given:
        return _codec(given)
    with path.open("rb") as file:
        start = file.read(_CHUNK_BYTES)
    marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "")
    if marked:
        return marked
    if b"\0" in start[:_SAMPLE_BYTES]:
        return _guess(start[:_SAMPLE_BYTES]) or UTF8
    if whole:
        return _guess(_foreign_lines(path)) or UTF8
    is_cut = len(start) == _CHUNK_BYTES
    if _is_utf8(start, is_cut=is_cut):
        return UTF8
    lines = start.splitlines()
    return _guess(_foreign(lines[:-1] if is_cut and len(lines) > 1 else lines)) or UTF8


def is_guess(encoding: str) -> bool:
    """Returns whether nothing but the look of the text speaks for an encoding that was found."""
    return encoding not in (UTF8, "utf-16")


def as_utf8(path: Path, scratch: Path, encoding: str) -> Path:
    """Returns the file, written anew where it is not in UTF-8.

    Args:
        path: The file.
        scratch: Directory for the file as UTF-8.
        encoding: Its encoding, as `find_encoding` returned it.

    Raises:
        InvalidFieldError: The file is not in that encoding.
    """
    if encoding in _LIKE_UTF8:
        return path
    plain = scratch / "utf-8"
    line = 1
    try:
        with path.open(encoding=encoding, newline="") as source, plain.open("wb") as file:
            while text := source.read(_CHUNK_BYTES):
                file.write(text.encode())
                line += text.count("\n")
    except UnicodeError:
        raise bad_file(
            f"the text is not {encoding}, somewhere after line {line}; give the right encoding",
            "UNREADABLE_FILE",
        ) from None
    return plain


def _codec(encoding: str) -> str:
    try:
        found = codecs.lookup(encoding)
        "".encode(found.name)  # some codecs are for bytes, not for text
    except (LookupError, ValueError):
        raise InvalidFieldError(
            fields.ENCODING,
            f"`{encoding}` is no text encoding that Python knows; use for example utf-8 or latin-1",
        ) from None
    return found.name


def _is_utf8(text: bytes, *, is_cut: bool = False) -> bool:
    """Returns whether bytes are UTF-8; where they are cut off, the last character may be too."""
    try:
        codecs.getincrementaldecoder(UTF8)().decode(text, final=not is_cut)
    except UnicodeDecodeError:
        return False
    return True


def _foreign_lines(path: Path) -> bytes:
    with path.open("rb") as file:
        return _foreign(_lines(iter(lambda: file.read(_CHUNK_BYTES), b"")))


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields whole lines without their ends, up to the first that is too long for any format."""
    rest = b""
    for chunk in chunks:
        lines = (rest + chunk).splitlines(keepends=True)
        rest = b"" if lines[-1].endswith((b"\n", b"\r")) else lines.pop()
        for line in lines:
            yield line.rstrip(b"\r\n")
        if len(rest) > MAX_LINE_BYTES:
            return
    yield rest


def _foreign(lines: Iterable[bytes]) -> bytes:
    """Returns lines that are not UTF-8; none where others show that the file is, but damaged."""
    found: list[bytes] = []
    size = 0
    for line in lines:
        if line.isascii():
            continue
        if _is_utf8(line):
            return b""
        found.append(line)
        size += len(line)
        if size > _SAMPLE_BYTES:
            break
    return b"\n".join(found)


def _guess(sample: bytes) -> str:
    """Returns the likeliest encoding, the western one where it is as likely as others.

    Returns:
        Its name; empty where none fits.
    """
    matches = list(from_bytes(sample, cp_isolation=_GUESSED)) if sample else []
    if not matches:
        return ""
    best = matches[0]
    for match in matches:
        is_as_good = (match.chaos, match.coherence) == (best.chaos, best.coherence)
        if is_as_good and _WESTERN in match.could_be_from_charset:
            return _WESTERN
    return best.encoding
