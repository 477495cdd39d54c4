"""The page of a scan, for people."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.reports.rendering import render
from common.reports.report import Bar, Bars, Cell, Part, Report, Section, Table
from common.reports.text import number, plot_text, shortened
from services.outlier.domain.detector import Scores
from services.outlier.domain.findings import Anomaly, AnomalyGroup, Findings, Reason
from services.outlier.domain.fitting import LeftOut
from services.outlier.domain.page.plots import PreparedSample, map_plot, score_plot

_MOST_ANOMALIES = 100
_MOST_GROUPS = 50
_MOST_REASONS = 5
_MOST_HINTS = 3
_MOST_EXAMPLES = 10
_LEAST_REST = 0.005


@dataclass(frozen=True)
class ScanPage:
    """What the page of a scan is made of.

    Attributes:
        name: Of the scan.
        dataset_version: What was scanned.
        columns: Number of its columns that were looked at.
        scores: Of all rows, finite, at least one; larger is odder.
        marked: Whether a row is marked, shaped alike.
        threshold: Rows with a larger score are marked.
        members: Names of the detectors that took part.
        left_out: The detectors that did not.
        findings: What was found out about marked rows.
        sample: Prepared rows to draw, best with the marked ones among them; None to draw none.
    """

    name: str
    dataset_version: str
    columns: int
    scores: Scores
    marked: npt.NDArray[np.bool_]
    threshold: float
    members: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    findings: Findings
    sample: PreparedSample | None = None


def scan_page(page: ScanPage) -> str:
    """Returns the page as HTML; its size (2 MB to 3 MB) does not grow with the rows."""
    marked = int(page.marked.sum())
    facts: dict[str, str | int | float] = {
        "Data": page.dataset_version,
        "Rows": len(page.scores),
        "Columns": page.columns,
        "Marked rows": f"{number(marked)} ({_percent(marked / len(page.scores))})",
        "Threshold": page.threshold,
        "Detectors": len(page.members),
    }
    sections = (
        Section("Scores", [score_plot(page.scores, page.marked, page.threshold)]),
        Section("Map of the rows", _map(page)),
        Section("Anomalies", _anomalies(page.findings, marked)),
        Section("Groups", _groups(page.findings.groups)),
        Section("Detectors", _detectors(page)),
    )
    return render(Report(f"Outlier scan {shortened(page.name, 200)}", facts, sections))


def _map(page: ScanPage) -> list[Part]:
    if page.sample is None:
        return ["No sample of the rows was kept to draw."]
    found = {anomaly.row: anomaly for anomaly in page.findings.anomalies}
    rows = page.sample.rows
    plot = map_plot(
        page.sample,
        page.scores[rows],
        page.marked[rows],
        lambda row: _hint(row, float(page.scores[row]), found),
    )
    return [plot or "The rows do not differ in anything that can be drawn."]


def _hint(row: int, score: float, found: Mapping[int, Anomaly]) -> str:
    """Returns what stands beside a point."""
    lines = [f"row {row}", f"score {number(score)}"]
    if row in found:
        lines += [
            f"{plot_text(reason.column, 40)}: {plot_text(_compared(reason, 40), 120)}"
            for reason in found[row].reasons[:_MOST_HINTS]
        ]
    return "<br>".join(lines)


def _anomalies(findings: Findings, marked: int) -> list[Part]:
    if not marked:
        return ["No row is marked: none has a score above the threshold."]
    shown = findings.anomalies[:_MOST_ANOMALIES]
    columns = ["Rank", "Row", "Score", "Probability", "Group", "Why"]
    rows = [
        (each.rank, each.row, each.score, each.probability, each.group, _reasons(each))
        for each in shown
    ]
    caption = (
        f"The {number(len(shown))} oddest of {number(marked)} marked rows; rows and groups "
        "count from 0. Probability: that the row is an anomaly. Bars: how much of the score a "
        "column makes up, against the row's strongest column."
    )
    return [Table(columns, rows, caption)]


def _reasons(anomaly: Anomaly) -> Cell:
    broken = " ".join(shortened(each, 300) for each in anomaly.broken)
    if not anomaly.reasons:
        return broken or None
    strongest = max(reason.contribution for reason in anomaly.reasons)
    bars = tuple(
        Bar(
            shortened(reason.column),
            _length(reason.contribution, strongest),
            number(reason.contribution),
            _compared(reason, 120),
        )
        for reason in anomaly.reasons[:_MOST_REASONS]
    )
    return Bars(bars, broken)


def _compared(reason: Reason, most: int) -> str:
    return f"{shortened(reason.value, most)}, usually {shortened(reason.usual, most)}"


def _length(value: float, largest: float) -> float:
    return min(1.0, max(0.0, value / largest)) if largest > 0 else 0.0


def _groups(groups: tuple[AnomalyGroup, ...]) -> list[Part]:
    if not groups:
        return ["No marked row is explained, so none are grouped by their reasons."]
    columns = ["Group", "Rows", "Oddest rows", "Made up of"]
    rows = [
        (place, len(group.rows), _examples(group), _shares(group))
        for place, group in enumerate(groups[:_MOST_GROUPS])
    ]
    caption = f"Explained anomalies that are odd for like reasons: {_of(len(rows), len(groups))}."
    return [Table(columns, rows, caption)]


def _of(shown: int, count: int) -> str:
    groups = f"{number(count)} group{'s' if count != 1 else ''}"
    return groups if shown == count else f"the {number(shown)} largest of {groups}"


def _examples(group: AnomalyGroup) -> str:
    more = ", …" if len(group.rows) > _MOST_EXAMPLES else ""
    return ", ".join(str(row) for row in group.rows[:_MOST_EXAMPLES]) + more


def _shares(group: AnomalyGroup) -> Bars:
    shown = list(group.shares.items())[:_MOST_REASONS]
    rest = 1.0 - sum(share for _, share in shown)
    note = f"Other columns: {_percent(rest)}" if rest >= _LEAST_REST else ""
    bars = [Bar(shortened(name), _length(share, 1.0), _percent(share)) for name, share in shown]
    return Bars(tuple(bars), note)


def _detectors(page: ScanPage) -> list[Part]:
    rows: list[tuple[Cell, ...]] = [(name, "took part", None) for name in page.members]
    rows += [(each.name, "left out", shortened(each.reason, 300)) for each in page.left_out]
    return [Table(["Detector", "Part", "Reason"], rows, "The mean of their scores is the score.")]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
