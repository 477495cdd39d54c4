"""What comes of an analysis: findings, verdict and report."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from common.reports.report import Section
from services.analyzer.domain.analysis import Findings, Progress, analyse
from services.analyzer.domain.health.page import show_health
from services.analyzer.domain.metrics import standard_metrics
from services.analyzer.domain.page.report import ReportHead, failed_to_show, report_page, with_notes
from services.analyzer.domain.part import NotApplicableError, PartName, UnusableModelError
from services.analyzer.domain.registry import PARTS
from services.analyzer.domain.specification import AnalysisSpecification
from services.analyzer.domain.subject import Subject
from services.analyzer.domain.verdict import verdict_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What is published.

    Attributes:
        verdict: One or two sentences.
        row_count: Rows that were looked at.
        metrics: On these rows by name.
        findings: What the parts found.
        page: The report as HTML.
    """

    verdict: str
    row_count: int
    metrics: Mapping[str, float]
    findings: Findings
    page: str
