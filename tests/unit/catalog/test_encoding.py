"""Text files that are not UTF-8: which encoding is found, and when none is."""

# ruff: noqa: RUF001 - other alphabets are what this is about

import codecs
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.domain.sources import encoding
from services.catalog.domain.sources.encoding import find_encoding, is_guess
from services.catalog.domain.spec import CsvOptions
from tests.unit.catalog.support import import_bytes

TEXTS = {
    "cp1252": "name,stadt\nMüller,München\nJäger,Köln\nPeña,Nîmes\n",
    "cp1250": "imię,miasto\nŁukasz,Łódź\nZażółć,Gdańsk\nMałgorzata,Kraków\nStanisław,Rzeszów\n",
    "cp1251": "имя,город\nИван,Москва\nОльга,Санкт-Петербург\nМария,Казань\n",
    "koi8_r": "имя,город\nИван,Москва\nОльга,Санкт-Петербург\n",
    "cp932": "名前,都市\n田中,東京\n鈴木さん,大阪\nこれはテストです,京都\n",
    "gb18030": "姓名,城市\n王伟,北京\n李娜,上海\n这是一个测试,广州\n",
    "utf_16_le": "name,city\nx,y\n1,2\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_tables_in_other_encodings_are_read(name: str) -> None:
    """What spreadsheets of all countries export arrives as the text that was written."""
    text = TEXTS[name]
    got = import_bytes(text.encode(name))
    header, *rows = (line.split(",") for line in text.splitlines())
    assert [column.name for column in got.schema.columns] == header
    if name != "utf_16_le":
        assert got.labels(header[0]) == [row[0] for row in rows]


def test_other_encoding_shows_late() -> None:
    """The first MiB is plain ASCII: the file is read anew when its first foreign byte appears."""
    rows = "".join(f"{number},Mueller\n" for number in range(120_000))
    content = f"n,name\n{rows}1,Müller\n2,Jäger\n".encode("cp1252")
    assert len(content) > encoding._CHUNK_BYTES
    got = import_bytes(content)
    assert got.labels("name")[-3:] == ["Mueller", "Müller", "Jäger"]


def test_marks_and_plain_text_are_no_guesses(tmp_path: Path) -> None:
    """Nobody is warned of a file whose encoding is certain."""
    path = tmp_path / "file"
    for content, name in (
        (codecs.BOM_UTF8 + b"a\n", "utf-8"),
        ("ü".encode(), "utf-8"),
        (codecs.BOM_UTF16_BE + "a".encode("utf-16-be"), "utf-16"),
        (b"", "utf-8"),
    ):
        path.write_bytes(content)
        assert find_encoding(path, "") == name
        assert not is_guess(name)


def test_character_across_the_end_of_the_sample(tmp_path: Path) -> None:
    """UTF-8 whose first MiB ends within a character is UTF-8."""
    path = tmp_path / "file"
    path.write_bytes(b"a" * (encoding._CHUNK_BYTES - 1) + "üä".encode())
    assert find_encoding(path, "") == "utf-8"


def test_given_encoding_is_not_second_guessed() -> None:
    """Who names the encoding gets it, also where a guess would differ."""
    content = "a,b\nMüller,1\n".encode("cp1252")
    got = import_bytes(content, csv=CsvOptions(encoding="cp1251"))
    assert got.labels("a") == ["Mьller"]


@pytest.mark.parametrize("ending", ["", "\n"])
@pytest.mark.parametrize("before", [0, 120_000])
def test_lines_that_end_in_a_lone_byte(before: int, ending: str) -> None:
    """A line that ends as UTF-8 would begin a character is no UTF-8, early or late in the file."""
    rows = "".join(f"{number},Mueller\n" for number in range(before))
    text = f"n,name\n{rows}1,café\n2,olé\n3,Renée,\n4,café{ending}".replace("e,\n", "e\n")
    got = import_bytes(text.encode("cp1252"))
    assert got.labels("name")[before:] == ["café", "olé", "Renée", "café"]


@given(
    st.lists(st.text("abé,\x80ü", max_size=5), max_size=8),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_lines_do_not_depend_on_chunks(lines: list[str], sizes: list[int], end: str) -> None:
    """However a file is cut into chunks, its lines are whole."""
    content = end.join(lines).encode()
    cuts = [0, *itertools.accumulate(sizes), len(content)]
    chunks = [content[start:stop] for start, stop in itertools.pairwise(cuts)]
    found = [line for line in encoding._lines(filter(None, chunks)) if line]
    assert found == [line for line in content.splitlines() if line]


@given(st.lists(st.text("aé", min_size=1, max_size=6), min_size=1))
def test_damaged_utf8_is_told_from_another_encoding(words: list[str]) -> None:
    """Lines of another encoding are all foreign; a single one in UTF-8 speaks of damage."""
    lines = [word.encode("cp1252") for word in words]
    assert encoding._foreign(lines) == b"\n".join(line for line in lines if not line.isascii())
    assert encoding._foreign([*lines, "é".encode()]) == b""
