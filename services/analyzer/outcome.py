"""What comes of an analysis: findings, verdict and report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.analyzer.domain.analysis import Findings, Progress, analyse
from services.analyzer.domain.comparison.comparison import compare
from services.analyzer.domain.comparison.page import show_comparison
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.health.page import show_health
from services.analyzer.domain.health.rules import Finding
from services.analyzer.domain.metrics import NEED_PROBABILITIES, standard_metrics
from services.analyzer.domain.page.report import ReportHead, report_page, sections_of
from services.analyzer.domain.part import ROWLESS, PartName, PartOutcome
from services.analyzer.domain.registry import PARTS
from services.analyzer.domain.specification import AnalysisSpecification
from services.analyzer.domain.structure.words import bytes_told
from services.analyzer.domain.subject import Subject
from services.analyzer.domain.thinning import thinned
from services.analyzer.domain.verdict import verdict_of

_INSIDE_ONLY = "The model's inside was looked into, not what it gives for rows."


@dataclass(frozen=True)
class Outcome:
    """What is published.

    Attributes:
        verdict: A few sentences.
        row_count: Rows that were looked at.
        metrics: On these rows by name; of the baseline in a comparison.
        summaries: What was found, by field of `AnalysisResults`: dataclasses with its fields.
        problems: Problems and cures, the gravest first.
        parts: How the parts went.
        page: The report as HTML.
    """

    verdict: str
    row_count: int
    metrics: Mapping[str, float]
    summaries: Mapping[str, Any]
    problems: Sequence[Finding]
    parts: Sequence[PartOutcome]
    page: str


def analysed(
    name: str,
    specification: AnalysisSpecification,
    subject: Subject,
    progress: Progress,
    check: Callable[[], None],
) -> Outcome:
    """Analyses one model.

    Args:
        name: Of the analysis.
        specification: Resolved.
        subject: The model with its rows.
        progress: See `analyse`.
        check: See `analyse`.
    """
    budgets, seconds = specification.budgets, specification.budget
    is_predicted = bool(budgets.keys() - ROWLESS)
    note = ""
    if is_predicted:
        [subject], note = thinned([subject], seconds, check)
    findings = analyse(subject, budgets, seconds, progress, check)
    _note(findings, note)
    health = findings.results.get(PartName.HEALTH)
    problems = health.summary.findings if health is not None else ()
    shows = {key: part.show for key, part in PARTS.items()} | {PartName.HEALTH: show_health}
    sections = sections_of(findings, shows)
    verdict = _verdict(subject, findings, problems) if is_predicted else _INSIDE_ONLY
    metrics = _metrics(subject) if is_predicted else {}
    head = ReportHead(
        f"Analysis of {subject.name}", verdict, _facts(subject, metrics), _lineage(name, [subject])
    )
    return Outcome(
        verdict=verdict,
        row_count=subject.sample.count,
        metrics=metrics,
        summaries={key.value: result.summary for key, result in findings.results.items()},
        problems=problems,
        parts=findings.outcomes,
        page=report_page(head, findings.outcomes, problems, sections),
    )


def _note(findings: Findings, note: str) -> None:
    """Adds a note to the first part that goes by what the model gives for the rows."""
    if not note:
        return
    place = next(n for n, each in enumerate(findings.outcomes) if each.part not in ROWLESS)
    outcome = findings.outcomes[place]
    findings.outcomes[place] = replace(outcome, notes=(note, *outcome.notes))


def compared(
    name: str,
    specification: AnalysisSpecification,
    subjects: Sequence[Subject],
    progress: Progress,
    check: Callable[[], None],
) -> Outcome:
    """Compares versions.

    Args:
        name: Of the analysis.
        specification: Resolved.
        subjects: The baseline, then the challengers, on the same rows.
        progress: See `analyse`.
        check: See `analyse`.
    """
    budgets, seconds = specification.budgets, specification.budget
    found = compare(subjects, budgets, seconds, progress, check)
    # On fewer rows, where versions are slow.
    baseline = found.versions.baseline.subject
    sections = show_comparison(found)
    metrics = _metrics(baseline) if budgets.keys() - ROWLESS else {}
    others = ", ".join(subject.name for subject in subjects[1:])
    facts = _facts(baseline, metrics) | {"Compared with": others}
    lineage = _lineage(name, subjects)
    head = ReportHead(f"{baseline.name} compared", found.verdict, facts, lineage)
    return Outcome(
        verdict=found.verdict,
        row_count=baseline.sample.count,
        metrics=metrics,
        summaries={"comparison": found.summary},
        problems=(),
        parts=found.outcomes,
        page=report_page(head, found.outcomes, (), sections),
    )


def _verdict(subject: Subject, findings: Findings, problems: Sequence[Finding]) -> str:
    try:
        return verdict_of(subject, findings.results, problems)
    except UnusableModelError as error:
        return f"{error} What does not need its outputs was looked at."


def _metrics(subject: Subject) -> dict[str, float]:
    try:
        found = standard_metrics(subject.model.task, subject.truth, subject.outputs)
    except (NotApplicableError, UnusableModelError):
        return {}
    if subject.model.gives_probabilities:
        return found
    return {name: value for name, value in found.items() if name not in NEED_PROBABILITIES}


def _facts(subject: Subject, metrics: Mapping[str, float]) -> dict[str, str | int | float]:
    facts: dict[str, str | int | float] = {
        "Model": subject.name,
        "Format": subject.model.format.value,
        "Task": subject.model.task.value,
        "Size": bytes_told(subject.size_bytes),
        "Data": subject.dataset_version,
        "Rows looked at": subject.sample.count,
    }
    return facts | {name.replace("_", " "): value for name, value in metrics.items()}


def _lineage(name: str, subjects: Sequence[Subject]) -> list[tuple[str, str]]:
    lines = [("Analysis", name)]
    for subject in subjects:
        lines.append(("Model", subject.name))
        lines += [("made from", origin) for origin in subject.origins]
    lines.append(("Data", subjects[0].dataset_version))
    scan = subjects[0].outliers
    return [*lines, ("Outlier scan", scan.scan)] if scan is not None else lines
