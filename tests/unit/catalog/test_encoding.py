"""Text files that are not UTF-8: which encoding is found, and when none is."""

# ruff: noqa: RUF001 - other alphabets are what this is about

import codecs
from pathlib import Path

import pytest

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
