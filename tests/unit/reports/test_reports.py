"""Reports: text stays text, the page needs nothing but itself."""

import json
import re

import numpy as np
import pytest
from plotly import graph_objects as go

from common.reports.rendering import render
from common.reports.report import (
    Bar,
    Bars,
    Code,
    Gallery,
    Link,
    Notice,
    Part,
    Picture,
    Plot,
    Report,
    Section,
    Severity,
    Table,
)
from common.reports.text import number, plot_text, shortened
from common.reports.theme import SERIES
from tests.unit.reports.elements import Elements

HOSTILE = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(1)> ]]> &amp; \u2028 \x00"


def figure(text: str = "points") -> go.Figure:
    return go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name=text, marker={"color": SERIES[0]}))


def report(text: str) -> Report:
    """A report with the same text wherever text can be."""
    bars = Bars((Bar(text, 0.5, text, text),), text)
    table = Table([text, "b"], [[text, bars], [None, 1.5]], text)
    notice = Notice(Severity.WARNING, text, text, text)
    picture = Picture.of(np.zeros((2, 3), np.uint8), text, text)
    plot = Plot(figure(text), text, text)
    parts: list[Part] = [text, plot, table, picture, Gallery([picture], text), notice]
    parts += [Code(text, text), Link(text, "scan.html")]
    sections = [Section(text, parts, text, [Section(text, [text])]), Section("last")]
    return Report(text, {text: text}, sections, [text, notice])


def test_text_is_never_markup() -> None:
    """Data decides what is on a page; it must not decide what the page does."""
    hostile, plain = Elements(render(report(HOSTILE))), Elements(render(report("plain")))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert "alert(1)" in hostile.text
    assert not any(name.startswith("on") for _, given in hostile.tags for name in given)


@pytest.mark.parametrize(
    "file", ["javascript:alert(1)", "//elsewhere.org", "../up", "a/b", "", " a"]
)
def test_a_page_leads_only_to_files_beside_it(file: str) -> None:
    """Protects from links that run something, or lead out of the folder."""
    with pytest.raises(ValueError, match="beside the page"):
        Link("look", file)


def test_figures_come_through_unchanged() -> None:
    """What is escaped for HTML reads the same to the script."""
    page = render(report(HOSTILE))
    (written,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert json.loads(written)["data"][0]["name"] == HOSTILE


def test_the_page_needs_nothing_else() -> None:
    """It is read offline, and what it shows is nobody else's business."""
    page = Elements(render(report("plain")))
    loading = {"src", "srcset", "action", "poster"}
    loaded = [given[name] for _, given in page.tags for name in loading & given.keys()]
    assert all(str(each).startswith("data:image/png;base64,") for each in loaded)
    links = {given["href"] for _, given in page.tags if "href" in given}
    assert {str(link)[0] for link in links - {"data:,", "scan.html"}} == {"#"}
    (policy,) = [given["content"] for _, given in page.tags if "http-equiv" in given]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy


def test_plotly_comes_once_and_only_with_plots() -> None:
    """It is nearly all of the page's size, though packed."""
    plots = [Plot(figure(), "caption", "seen") for _ in range(3)]
    with_plots = len(render(Report("r", {}, [Section("s", plots)])))
    assert 1_800_000 < with_plots < 2_200_000
    assert len(render(Report("r", {}, [Section("s", ["text"])]))) < 20_000
    below = Report("r", {}, [Section("s", subsections=[Section("t", plots[:1])])])
    assert len(render(below)) > 1_800_000


def test_whoever_cannot_see_is_told() -> None:
    """Language, one heading of the first order, descriptions of plots, captions of tables."""
    page = Elements(render(report("plain")))
    assert ("html", {"lang": "en"}) in page.tags
    assert page.count("h1") == 1
    assert (page.count("h2"), page.count("h3"), page.count("section")) == (2, 1, 3)
    assert [given["alt"] for tag, given in page.tags if tag == "img"] == ["plain"] * 2
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


def test_summary_stands_above_the_facts() -> None:
    """Who has a minute reads only this."""
    notice = Notice(Severity.PROBLEM, "It guesses", "No better than chance.", "Give it more data.")
    page = render(Report("r", {"Rows": 5}, [], ["In short: no.", notice]))
    said = ["In short: no.", "Problem:", "It guesses", "No better", "What to do:", "Rows", "<main"]
    places = [page.index(each, page.index("<body")) for each in said]
    assert places == sorted(places)


def test_notices_in_a_row_are_one_list() -> None:
    """Readers of the page's sound are told how many there are."""
    notices = [Notice(severity, "title", "text") for severity in Severity]
    page = Elements(render(Report("r", {}, [Section("s", [*notices, "between", notices[0]])])))
    lists = [given for given in page.given("ul") if given["class"] == "notices"]
    assert len(lists) == 2
    severities = [given.get("data-severity") for given in page.given("li")]
    assert severities == ["problem", "warning", "note", "good", "problem"]
    assert "What to do" not in page.text


def test_contents_list_sections_and_what_is_below() -> None:
    """One section alone needs none."""
    below = Section("Second", subsections=[Section("Below")])
    page = Elements(render(Report("r", {}, [Section("First"), below])))
    links = [given["href"] for given in page.given("a")]
    assert links == ["#content", "#section-first", "#section-second", "#section-below"]
    ids = {given["id"] for _, given in page.tags if "id" in given}
    assert {str(link)[1:] for link in links} <= ids
    assert "Contents" not in Elements(render(Report("r", {}, [Section("First")]))).text


def test_subsections_have_none_themselves() -> None:
    """The page has headings for two levels."""
    with pytest.raises(ValueError, match="'a' have subsections themselves"):
        Section("a", subsections=[Section("b", subsections=[Section("c")])])


def test_numbers_that_are_given_stand_in_for_those_of_the_figure() -> None:
    """Positions in a drawing tell nobody anything."""
    plot = Plot(figure(), "caption", "seen", Table(["name"], [["a"]], "What is drawn."))
    page = Elements(render(Report("r", {}, [Section("s", [plot])])))
    assert page.count("table") == 1
    assert "What is drawn." in page.text
