"""A report with parts of all kinds in a real browser."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.reports.rendering import render
from tests.integration.reports.sample import BLOCKS, POINTS, sample_report
from tests.support.browser import Browser, open_browser

pytestmark = pytest.mark.slow

DRAWN = "document.documentElement.dataset.drawn !== undefined"
CONTENTS = "document.querySelector('.contents')"
TAB = ("Tab", 9)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(sample_report()), "utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def opened(browser: Browser, page: Path) -> Browser:
    """The browser with the page in it, drawn, wide and light."""
    browser.look()
    browser.open(page)
    browser.wait_for(DRAWN)
    return browser


def numbers(browser: Browser, section: str) -> str:
    """Returns an expression for the numbers of a section's plot, opened."""
    details = f"document.querySelector('#section-{section} .numbers')"
    browser.value(f"{details}.open = true")
    browser.wait_for(f"{details}.querySelector('table') && 'filled' in {details}.dataset")
    return details


def rows(browser: Browser, section: str) -> list[list[str]]:
    """Returns what the table of a plot's numbers shows, headings first."""
    details = numbers(browser, section)
    found: list[list[str]] = browser.value(
        f"[...{details}.querySelectorAll('tr')].map(row => [...row.cells].map(c => c.textContent))"
    )
    return found


def test_everything_is_drawn_and_nothing_leaves_the_page(opened: Browser, page: Path) -> None:
    """plotly.js is unpacked within the page, under a policy that lets no other script run."""
    drawn = "[...document.querySelectorAll('.plot')].map(plot => !!plot.querySelector('.main-svg'))"
    assert opened.value(drawn) == [True] * 7
    assert opened.value("[...document.images].every(image => image.naturalWidth > 0)")
    assert opened.value("document.images.length") == 10
    opened.value("document.querySelectorAll('.numbers').forEach(each => { each.open = true })")
    opened.wait_for("[...document.querySelectorAll('.numbers')].every(e => 'filled' in e.dataset)")
    assert opened.requests() == [page.as_uri()]
    assert opened.complaints() == []


@pytest.mark.parametrize("width", [360, 800, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_the_window(opened: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    """Nothing has to be scrolled sideways to be read."""
    opened.value("document.querySelectorAll('.numbers').forEach(each => { each.open = true })")
    opened.look(width=width, dark=dark)
    opened.wait_for(f"document.querySelector('.main-svg').clientWidth < {width}")
    opened.screenshot(tmp_path / "page.png")
    assert opened.value("document.documentElement.scrollWidth") <= width


def test_contents_stand_beside_the_text_or_fold(opened: Browser) -> None:
    """On a phone a list of twenty sections would hide the first."""
    assert opened.value(f"{CONTENTS}.open")
    opened.value("document.querySelector('#section-findings').scrollIntoView()")
    opened.wait_for("document.querySelector('[aria-current]')?.textContent === 'Findings'")
    assert opened.value(f"{CONTENTS}.getBoundingClientRect().top") >= 0
    opened.look(width=360)
    opened.wait_for(f"!{CONTENTS}.open")


def test_keys_reach_the_content_and_the_sections(opened: Browser) -> None:
    """First the way past what is on every page, then the table of contents; focus is seen."""
    opened.press(*TAB)
    assert opened.value("document.activeElement.textContent") == "Skip to the content"
    assert opened.value("document.activeElement.getBoundingClientRect().left") >= 0
    assert opened.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for _ in range(3):
        opened.press(*TAB)
    assert opened.value("document.activeElement.hash") == "#section-points"
    links = "[...document.querySelectorAll('.contents a')]"
    assert opened.value(f"{links}.every(link => document.querySelector(link.hash))")


def test_numbers_are_those_of_the_figure(opened: Browser) -> None:
    """Of each kind of plot, arrays written as bytes included; labels as readers see them."""
    assert rows(opened, "heat")[:3] == [["x", "y", "share"], ["p", "s", "0"], ["q", "s", "1"]]
    assert rows(opened, "heat")[-1] == ["r", "t", "5"]
    assert rows(opened, "bars") == [
        ["x", "y"],
        ["a < b", "3"],
        ["=1+1", "1.25"],
        ["c, d", "\N{EN DASH}"],
    ]
    assert rows(opened, "shares") == [["label", "value"], ["yes", "3"], ["no", "5"]]
    spread = rows(opened, "spread")
    assert spread[0] == ["series", "y"]
    assert [row[0] for row in spread[1:]] == ["box"] * 20 + ["violin"] * 20
    assert rows(opened, "values")[0] == ["x"]
    assert len(rows(opened, "values")) == 201


def test_long_numbers_are_cut_and_say_so(opened: Browser) -> None:
    """A table of a million rows would stop the browser; the file has them all."""
    shown = rows(opened, "points")
    assert shown[0] == ["series", "first direction", "second direction"]
    assert len(shown) == 1 + 1000
    details = numbers(opened, "points")
    said = "The first 1,000 of 1,500 rows; the file holds all."
    assert opened.value(f"{details}.querySelector('p').textContent") == said
    heading = f"{details}.querySelectorAll('th button')[1]"
    opened.value(f"{heading}.click()")
    sorted_values = [float(row[1]) for row in rows(opened, "points")[1:]]
    assert sorted_values == sorted(sorted_values)


def downloaded(browser: Browser, section: str, folder: Path) -> tuple[str, list[list[str]]]:
    """Returns the name and the rows of the file behind a plot's button."""
    button = f"{numbers(browser, section)}.querySelector(':scope > button')"
    file = browser.downloaded(folder, f"{button}.click()")
    with file.open(newline="", encoding="utf-8-sig") as lines:
        return file.name, list(csv.reader(lines))


def test_numbers_are_downloaded_under_the_policy(opened: Browser, tmp_path: Path) -> None:
    """All rows, quoted where needed, and nothing that a spreadsheet would run."""
    first, second, third = (tmp_path / name for name in "123")
    for folder in (first, second, third):
        folder.mkdir()
    name, written = downloaded(opened, "bars", first)
    assert name == "counts-three-of-them.csv"
    assert written == [["x", "y"], ["a < b", "3"], ["'=1+1", "1.25"], ["c, d", ""]]
    assert len(downloaded(opened, "points", second)[1]) == 1 + POINTS
    given = downloaded(opened, "the-network", third)[1]
    assert given[:2] == [["Node", "What it is", "Weight"], ["input", "3 x 224 x 224", "0"]]
    assert opened.complaints() == []


def test_graph_scrolls_in_its_frame(opened: Browser) -> None:
    """A deep network does not push the rest of the page away; keys scroll it, too."""
    frame = "document.querySelector('#section-the-network .frame')"
    assert opened.value(f"{frame}.clientHeight <= innerHeight && {frame}.tabIndex === 0")
    assert opened.value(f"{frame}.scrollHeight") > 40 * 4 * BLOCKS
    assert opened.value(f"{frame}.querySelectorAll('.point').length") == 4 * BLOCKS + 4


def stated(browser: Browser, script: str) -> Any:
    """Returns the handle of a script that runs before those of the pages."""
    return browser.call("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"]


def test_old_browsers_are_told_and_show_the_rest(opened: Browser, page: Path) -> None:
    """A reader with a browser of 2022 sees tables, and why there is no plot."""
    handle = stated(opened, "delete window.DecompressionStream")
    opened.open(page)
    opened.wait_for("document.querySelector('.plot p')")
    told = opened.value("document.querySelector('.plot').textContent")
    assert told == "Plots need a newer browser. Two clouds"
    assert len(rows(opened, "bars")) == 4
    assert opened.complaints() == []
    opened.call("Page.removeScriptToEvaluateOnNewDocument", identifier=handle)


def test_it_is_printed_without_what_is_for_screens(opened: Browser) -> None:
    """Frames do not cut what they hold; buttons and contents are left out."""
    opened.call("Emulation.setEmulatedMedia", media="print")
    assert opened.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    frame = "document.querySelector('#section-the-network .frame')"
    assert opened.value(f"getComputedStyle({frame}).maxHeight") == "none"
    opened.call("Emulation.setEmulatedMedia", media="")
