"""The page of a scan, whatever was scanned."""

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.outlier.domain.findings import Anomaly, AnomalyGroup, Findings, Reason
from services.outlier.domain.fitting import LeftOut
from services.outlier.domain.page.plots import PreparedSample, map_plot, score_plot
from services.outlier.domain.page.scan_page import ScanPage, scan_page

HOSTILE = "<img src=x onerror=alert(1)>"


def anomaly(row: int, rank: int, *reasons: Reason, **rest: Any) -> Anomaly:
    return Anomaly(row, rank, 5.0 - rank, 0.9, 0.001, reasons, **rest)


def scanned(rows: int = 1000, features: int = 3, anomalies: int = 5) -> ScanPage:
    """A scan whose first rows are marked."""
    generator = np.random.default_rng(0)
    scores = generator.uniform(-1, 1, rows)
    scores[:anomalies] = np.linspace(4, 3, anomalies)
    reasons = (Reason("length", 2.0, "9.5", "1.2"), Reason("width", 0.5, "3", "2.9"))
    found = tuple(anomaly(row, row + 1, *reasons, group=0) for row in range(anomalies))
    groups = (AnomalyGroup(tuple(range(anomalies)), {"length": 0.8, "width": 0.2}),)
    return ScanPage(
        name="flowers",
        dataset_version="datasets/iris/versions/1",
        columns=features,
        scores=scores,
        marked=scores > 2,
        threshold=2.0,
        members=("hbos", "knn"),
        left_out=(LeftOut("kde", "there was no time left"),),
        findings=Findings(found, groups if anomalies else ()),
        sample=PreparedSample(generator.normal(size=(rows, features)), np.arange(rows)),
    )


def body(page: ScanPage) -> str:
    """Returns what the page says, without its scripts."""
    return scan_page(page).split("<body>")[1].split("</main>")[0]


def figures(page: ScanPage) -> list[dict[str, Any]]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', body(page))
    return [json.loads(each) for each in found]


def test_page_says_what_was_found() -> None:
    """Facts, reasons with the usual values, groups, and detectors with why one is left out."""
    words = body(scanned())
    for said in (
        "<dd>datasets/iris/versions/1</dd>",
        "<dd>5 (0.5 %)</dd>",
        "The 5 oddest of 5 marked rows",
        "9.5, usually 1.2",
        "width:25.0%",
        '<td data-label="Oddest rows">0, 1, 2, 3, 4</td>',
        "80 %",
        "there was no time left",
    ):
        assert said in words


def test_names_and_values_stay_text() -> None:
    """Columns and values are what some file held; figures read tags, too."""
    reason = Reason(HOSTILE, 1.0, HOSTILE, HOSTILE)
    page = replace(
        scanned(),
        name=HOSTILE,
        dataset_version=HOSTILE,
        members=(HOSTILE,),
        left_out=(LeftOut(HOSTILE, HOSTILE),),
        findings=Findings(
            (anomaly(0, 1, reason, broken=(HOSTILE,)),), (AnomalyGroup((0,), {HOSTILE: 1.0}),)
        ),
    )
    assert "<img" not in body(page)
    (hint,) = [
        text
        for trace in figures(page)[1]["data"]
        for text in trace["hovertext"]
        if "usually" in text
    ]
    assert hint.startswith("row 0<br>score 4<br>&lt;img src=x")


def test_page_without_anomalies_is_a_page() -> None:
    """Nothing found is a result."""
    page = scanned(anomalies=0)
    assert "No row is marked" in body(page)
    assert "none are grouped" in body(page)


@pytest.mark.parametrize("features", [1, 2, 10_000])
def test_any_number_of_columns(features: int) -> None:
    """A single direction is drawn against the score."""
    page = scanned(rows=60, features=features)
    columns = {f"column {place}": 1 / features for place in range(features)}
    page = replace(page, findings=Findings(page.findings.anomalies, (AnomalyGroup((0,), columns),)))
    assert len(body(page)) < 100_000
    title = figures(page)[1]["layout"]["yaxis"]["title"]["text"]
    assert (title == "score") == (features == 1)


@pytest.mark.parametrize("values", [np.zeros((50, 0)), np.ones((50, 2)), np.zeros((0, 2))])
def test_rows_that_cannot_be_drawn_are_not(values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """Rows may be all labels, or alike in all numbers; a sample may be empty."""
    sample = PreparedSample(values, np.arange(len(values)))
    assert "do not differ" in body(replace(scanned(), sample=sample))
    assert "No sample" in body(replace(scanned(), sample=None))


def test_huge_values_are_drawn() -> None:
    """Finite numbers whose squares are not."""
    values = np.random.default_rng(0).normal(size=(50, 2)) * 1e300
    page = replace(scanned(rows=50), sample=PreparedSample(values, np.arange(50)))
    assert len(figures(page)) == 2


def test_page_does_not_grow_with_the_rows() -> None:
    """Of ten million rows only bins, some points and the oddest hundred are in it."""
    page = scanned(rows=300_000, anomalies=20_000)
    assert len(body(page)) < 1_500_000
    points = figures(page)[1]["data"]
    assert [len(trace["hovertext"]) for trace in points] == [2500, 2500]
    assert body(page).count("<tr>") < 200


def test_long_values_are_cut() -> None:
    """A text of a megabyte is one line."""
    long = "word " * 200_000
    reason = Reason(long, 1.0, long, long)
    page = replace(scanned(), findings=Findings((anomaly(0, 1, reason, broken=(long,)),), ()))
    assert len(body(page)) < 400_000


def test_marked_rows_are_all_drawn_while_they_are_few() -> None:
    """They are what the reader looks for."""
    scores = np.arange(20_000.0)
    sample = PreparedSample(scores[:, None], np.arange(20_000))
    plot = map_plot(sample, scores, scores >= 19_700, str)
    assert plot is not None
    usual, odd = plot.figure.data
    assert list(odd.hovertext) == [str(row) for row in range(19_999, 19_699, -1)]
    assert len(usual.hovertext) == 4_700


def test_no_bar_holds_usual_and_marked_rows() -> None:
    """A bin ends at the threshold; every row is counted once."""
    generator = np.random.default_rng(1)
    scores = generator.normal(size=5000)
    usual, odd = score_plot(scores, scores > 1.3, 1.3).figure.data
    assert sum(usual.y) + sum(odd.y) == 5000
    assert sum(odd.y) == (scores > 1.3).sum()
    assert max(usual.x) < 1.3 < min(odd.x)


@pytest.mark.parametrize("scores", [np.zeros(10), np.array([3.0]), np.array([-1e300, 1e300])])
def test_any_scores_have_a_histogram(scores: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """Equal ones, a single one, ones that lie far apart."""
    threshold = float(scores.max())
    plot = score_plot(scores, scores > threshold, threshold)
    assert sum(int(count) for trace in plot.figure.data for count in trace.y) == len(scores)
