"""The page of a scan in a real browser: plots are drawn, in both schemes, and nothing leaves it."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.outlier.domain.findings import Anomaly, AnomalyGroup, Findings, Reason
from services.outlier.domain.fitting import LeftOut
from services.outlier.domain.page.plots import PreparedSample
from services.outlier.domain.page.scan_page import ScanPage, scan_page
from tests.support.browser import Browser, open_browser

HOSTILE = "<b><img src=x onerror='window.broken=1'></script><script>window.broken=1</script>"
ROWS, ANOMALIES = 400, 12
DRAWN = "document.documentElement.dataset.drawn !== undefined"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = np.random.default_rng(0)
    scores = generator.uniform(-1, 1, ROWS)
    scores[:ANOMALIES] = np.linspace(4, 3, ANOMALIES)
    reasons = (Reason(HOSTILE, 1.5, HOSTILE, "1.2"), Reason("width", 0.5, "long " * 90, "3"))
    found = tuple(
        Anomaly(row, row + 1, scores[row], 0.9, 0.001, reasons, group=0) for row in range(ANOMALIES)
    )
    written = scan_page(
        ScanPage(
            name=HOSTILE,
            dataset_version="datasets/iris/versions/1",
            columns=2,
            scores=scores,
            marked=scores > 2,
            threshold=2.0,
            members=("hbos",),
            left_out=(LeftOut("kde", HOSTILE),),
            findings=Findings(found, (AnomalyGroup((0, 1), {HOSTILE: 0.7, "width": 0.3}),)),
            sample=PreparedSample(generator.normal(size=(ROWS, 3)), np.arange(ROWS)),
        )
    )
    path = tmp_path_factory.mktemp("page") / "scan.html"
    path.write_text(written, "utf-8")
    return path


@pytest.fixture(scope="module")
def opened(browser: Browser, page: Path) -> Browser:
    """The browser with the page in it, drawn."""
    browser.open(page)
    browser.wait_for(DRAWN)
    return browser


@pytest.fixture(autouse=True)
def usual_look(opened: Browser) -> None:
    """Each test begins in the light scheme and a wide window."""
    opened.look()


def color_of_bars(browser: Browser) -> str:
    return str(browser.value("getComputedStyle(document.querySelector('.bars .point path')).fill"))


def brightness(picture: bytes) -> float:
    """Returns the mean brightness of a picture, 0 to 255."""
    return float(np.asarray(Image.open(io.BytesIO(picture)).convert("L")).mean())


def test_plots_are_drawn_and_nothing_leaves_the_page(opened: Browser, page: Path) -> None:
    """Every point and bar is there, no request but for the page itself, no complaint."""
    opened.open(page)
    opened.wait_for(DRAWN)
    assert opened.value("document.querySelectorAll('.scatterlayer .point').length") == ROWS
    assert opened.value("document.querySelectorAll('.plot .barlayer .point').length") > 10
    assert "threshold 2" in opened.value("document.querySelector('.annotation').textContent")
    assert opened.requests() == [page.as_uri()]
    assert opened.complaints() == []


def test_text_of_the_data_stays_text(opened: Browser) -> None:
    """Not in the page, beside a point or in numbers does a column's name become an element."""
    opened.value("document.querySelectorAll('.numbers').forEach(each => { each.open = true })")
    opened.wait_for("[...document.querySelectorAll('.numbers')].every(e => 'filled' in e.dataset)")
    assert "<b><img" in opened.value("document.querySelectorAll('.numbers')[1].textContent")
    opened.value(
        "Plotly.Fx.hover(document.querySelectorAll('.plot')[1], [{curveNumber: 1, pointNumber: 0}])"
    )
    opened.wait_for("document.querySelector('.hovertext')")
    assert "<b><img" in opened.value("document.querySelector('.hovertext').textContent")
    assert opened.value("document.images.length") == 0
    assert opened.value("window.broken === undefined")


def test_page_follows_the_readers_scheme(opened: Browser, tmp_path: Path) -> None:
    """Page and plots change colours while the page is open."""
    light, light_bars = opened.screenshot(tmp_path / "light.png"), color_of_bars(opened)
    opened.look(dark=True)
    opened.wait_for(
        f"getComputedStyle(document.querySelector('.bars .point path')).fill !== '{light_bars}'"
    )
    dark = opened.screenshot(tmp_path / "dark.png")
    assert brightness(light) > 200
    assert brightness(dark) < 80


def test_page_fits_a_phone(opened: Browser, tmp_path: Path) -> None:
    """Nothing has to be scrolled sideways to be read."""
    opened.look(width=390, height=844)
    opened.wait_for("document.querySelector('.main-svg').clientWidth < 390")
    assert opened.value("document.documentElement.scrollWidth") <= 390
    opened.screenshot(tmp_path / "phone.png")


def test_tables_are_sorted_by_a_click(opened: Browser) -> None:
    """Numbers by their value: 10 comes after 9."""
    column = "[...document.querySelectorAll('td[data-label=Row]')].map(cell => +cell.textContent)"
    button = "document.querySelectorAll('.cards th button')[1]"
    opened.value(f"{button}.click()")
    opened.value(f"{button}.click()")
    assert opened.value(column) == list(range(ANOMALIES))[::-1]
    assert opened.value(f"{button}.parentElement.getAttribute('aria-sort')") == "descending"


def test_no_button_sends_what_is_drawn(opened: Browser) -> None:
    """Plotly offers by default to publish a chart at its makers'."""
    titles = opened.value(
        "[...document.querySelectorAll('.modebar-btn')].map(button => button.dataset.title)"
    )
    assert "Download plot as a PNG" in " ".join(titles)
    assert not [title for title in titles if "hare" in title or "loud" in title]


def test_policy_stops_what_escaping_would_miss(opened: Browser) -> None:
    """Another script in the page does not run, and none may talk to anybody."""
    opened.value(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.broken = 1'}))"
    )
    assert opened.value("window.broken === undefined")
    assert opened.value("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == (
        "refused"
    )
    assert "Content Security Policy" in " ".join(opened.complaints())
