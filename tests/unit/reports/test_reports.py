"""Reports: text stays text, the page needs nothing but itself."""

import json
import re
from html.parser import HTMLParser

import pytest
from plotly import graph_objects as go

from common.reports.rendering import render
from common.reports.report import Bar, Bars, Part, Plot, Report, Section, Table
from common.reports.text import number, plot_text, shortened
from common.reports.theme import SERIES

HOSTILE = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(1)> ]]> &amp; \u2028 \x00"


class Elements(HTMLParser):
    """Collects a page's elements and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def figure(text: str = "points") -> go.Figure:
    return go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name=text, marker={"color": SERIES[0]}))


def report(text: str) -> Report:
    """A report with the same text wherever text can be."""
    bars = Bars((Bar(text, 0.5, text, text),), text)
    table = Table([text, "b"], [[text, bars], [None, 1.5]], text)
    parts: list[Part] = [text, Plot(figure(text), text, text), table]
    return Report(text, {text: text}, [Section(text, parts), Section("last", [])])


def test_text_is_never_markup() -> None:
    """Data decides what is on a page; it must not decide what the page does."""
    hostile, plain = Elements(render(report(HOSTILE))), Elements(render(report("plain")))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert "alert(1)" in hostile.text
    assert not any(name.startswith("on") for _, given in hostile.tags for name in given)


def test_figures_come_through_unchanged() -> None:
    """What is escaped for HTML reads the same to the script."""
    page = render(report(HOSTILE))
    (written,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert json.loads(written)["data"][0]["name"] == HOSTILE


def test_the_page_needs_nothing_else() -> None:
    """It is read offline, and what it shows is nobody else's business."""
    page = Elements(render(report("plain")))
    loading = {"src", "srcset", "action", "poster"}
    assert not [given for _, given in page.tags if loading & given.keys()]
    links = {given["href"] for _, given in page.tags if "href" in given}
    assert links == {"data:,", "#section-1", "#section-2"}
    (policy,) = [given["content"] for _, given in page.tags if "http-equiv" in given]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy


def test_plotly_comes_once_and_only_with_plots() -> None:
    """It is nearly all of the page's size."""
    plots = [Plot(figure(), "caption", "seen") for _ in range(3)]
    with_plots = len(render(Report("r", {}, [Section("s", plots)])))
    assert 4_000_000 < with_plots < 6_000_000
    assert len(render(Report("r", {}, [Section("s", ["text"])]))) < 20_000


def test_whoever_cannot_see_is_told() -> None:
    """Language, one heading of the first order, descriptions of plots, captions of tables."""
    page = Elements(render(report("plain")))
    assert ("html", {"lang": "en"}) in page.tags
    assert page.count("h1") == 1
    assert page.count("h2") == page.count("section") == 2
    assert [given["aria-label"] for _, given in page.tags if given.get("role") == "img"] == [
        "plain"
    ]
    assert page.count("caption") == page.count("table") == 1


def test_text_that_no_encoding_can_write_does_not_break_the_page() -> None:
    """Half a character of a broken file costs itself only."""
    assert "a?b" in render(Report("a\ud800b", {}, [])).encode().decode()


def test_cells_are_shown_for_people_and_sorted_by_value() -> None:
    """Numbers of rows are copied: they have no separators. What is missing is a dash."""
    page = render(Report("r", {"n": 1234567}, [Section("s", [Table(["a"], [[1234], [None]], "")])]))
    assert '<td data-label="a" class="number" data-number="1234">1234</td>' in page
    assert '<td data-label="a">\N{EN DASH}</td>' in page
    assert "<dd>1,234,567</dd>" in page


def test_rows_must_fit_the_headings() -> None:
    """A cell under the wrong heading is worse than an error."""
    with pytest.raises(ValueError, match="'c' needs 2 cells"):
        Table(["a", "b"], [[1]], "c")


def test_a_report_is_not_changed_by_rendering() -> None:
    """A caller may render twice, or use a figure elsewhere."""
    plot = Plot(figure(), "caption", "seen")
    before = plot.figure.to_json()
    render(Report("r", {}, [Section("s", [plot])]))
    assert plot.figure.to_json() == before


def test_long_text_is_cut_and_shows_it() -> None:
    """A value of a megabyte neither fills the page nor costs time."""
    assert shortened("a  b\n c") == "a b c"
    assert shortened("a" * 80) == "a" * 80
    assert shortened("a" * 81) == "a" * 79 + "…"
    assert shortened(" " * 1_000_000 + "a") == "…"
    assert plot_text("<b>&") == "&lt;b&gt;&amp;"


def test_numbers_are_short() -> None:
    """Four digits are what people compare."""
    assert [number(value) for value in (1234567, 0.123456, 12.0)] == ["1,234,567", "0.1235", "12"]
