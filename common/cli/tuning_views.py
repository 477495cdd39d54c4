"""Searches for models on the screen: score against the floors, parts of the model, candidates."""

import math
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console

from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from common.cli import text
from common.cli.context import make_table, print_trimmed
from common.cli.dataset_spec import words
from common.cli.policy_views import comparison_line

_SHOWN_MEMBERS = 10
_SHOWN_SETTINGS = 6
_LONGEST_NAME = 40
_LONGEST_SENTENCE = 240
_MOST_EXPONENT = 40.0
KINDS = tuner_pb2.ProblemKind.DESCRIPTOR
USES = tuner_pb2.PortfolioUse.DESCRIPTOR


def show_tuning(run: tuner_pb2.TuningRun, console: Console) -> None:
    """Prints what a search found, and where the rest of it is."""
    summary = run.summary
    for line in _lines(summary):
        console.print(text.harmless(line), soft_wrap=True, markup=False)
    if summary.members:
        rows = [_member_row(each) for each in summary.members[:_SHOWN_MEMBERS]]
        rest = len(summary.members) - _SHOWN_MEMBERS
        title = f"{rest} lighter parts are in the report" if rest > 0 else ""
        print_trimmed(console, make_table(("part of the model", "family", ">weight"), rows, title))
    for line in _places(run):
        console.print(text.harmless(line), soft_wrap=True, markup=False)


def subject_line(run: tuner_pb2.TuningRun) -> str:
    """Returns what a search is to predict, from what, and the model that it made."""
    made = f": {run.model_version}" if run.model_version else ""
    return f"of {', '.join(run.spec.targets)} in {run.spec.dataset_version}{made}"


def show_candidates(candidates: Sequence[tuner_pb2.Candidate], console: Console) -> None:
    """Prints what was tried, the best first."""
    columns = (
        *(">candidate", "family", ">score", ">folds", ">weight", ">took", "from"),
        "settings, or why it failed",
    )
    rows = [_candidate_row(each) for each in candidates]
    print_trimmed(console, make_table(columns, rows, top=True))


def show_families(families: Iterable[tuner_pb2.Family], console: Console) -> None:
    """Prints the families of models that a search may try."""
    by_number = {number: word for word, number in words(KINDS).items()}
    rows = [
        (each.name, ", ".join(by_number.get(kind, "?") for kind in each.kinds)) for each in families
    ]
    print_trimmed(console, make_table(("family", "learns"), rows, top=True))


def show_portfolio(entries: Sequence[tuner_pb2.PortfolioEntry], console: Console) -> None:
    """Prints what is known of other data: what it is like, and what was best there."""
    columns = ("known from", "learned", "by", ">rows", ">columns", ">tried", "best", "settings")
    rows = [_portfolio_row(each) for each in entries]
    print_trimmed(console, make_table(columns, rows, top=True))


def _portfolio_row(entry: tuner_pb2.PortfolioEntry) -> tuple[str, ...]:
    best = entry.scores[0] if entry.scores else tuner_pb2.PortfolioScore()
    counts = (
        f"{math.exp(min(entry.meta_features[name], _MOST_EXPONENT)):.0f}"
        if name in entry.meta_features
        else ""
        for name in ("log_rows", "log_columns")
    )
    return (
        entry.source,
        text.enum_word(tuner_pb2.ProblemKind.Name(entry.kind), "PROBLEM_KIND_"),
        entry.metric,
        *counts,
        str(len(entry.scores)),
        best.family,
        _settings(best),
    )


def _lines(summary: tuner_pb2.TuningSummary) -> Iterator[str]:
    if summary.verdict:
        yield summary.verdict
    yield f"{summary.metric} {_scores(summary)}"
    if summary.floor_scores:
        yield f"floors: {_listed(summary.floor_scores.items())}"
    if summary.HasField("comparison"):
        yield comparison_line(summary.comparison)
    if summary.HasField("outliers"):
        yield _outliers(summary)
    yield _effort(summary)
    if summary.blend:
        yield f"blend: {summary.blend}"
    for warning in summary.warnings:
        yield f"warning: {text.cut(warning, _LONGEST_SENTENCE)}"


def _scores(summary: tuner_pb2.TuningSummary) -> str:
    rows = text.count(summary.row_count, "row")
    is_forecast = "seasonal_naive" in summary.floor_scores
    where = "over windows of the past of" if is_forecast else "out of fold on"
    scores = f"{_score(summary.score)} {where} {rows}"
    if summary.HasField("test_score"):
        scores += f", {_score(summary.test_score)} on the test rows"
    return scores


def _score(score: tuner_pb2.Score) -> str:
    value = text.number(score.value)
    if not score.standard_error:
        return value
    return f"{value} ± {text.number(score.standard_error, digits=2)}"


def _outliers(summary: tuner_pb2.TuningSummary) -> str:
    """Returns what the marks of an outlier scan were worth, use by use."""
    outcome = summary.outliers
    told = [
        f"{_use(each.use)} {text.number(each.difference, digits=2)} "
        f"({text.number(each.lower_bound, digits=2)} to {text.number(each.upper_bound, digits=2)})"
        for each in outcome.comparison.results
        if each.use != trainer_pb2.OUTLIER_USE_KEEP
    ]
    gains = f"; gain in {summary.metric}: {', '.join(told)}" if told else "; nothing was compared"
    kept = _use(outcome.adopted)
    if outcome.adopted != trainer_pb2.OUTLIER_USE_KEEP:
        kept += f", {100 * outcome.share:.0f} % of the model"
    return f"outliers: {outcome.scan}, adopted {kept}{gains}"


def _use(use: trainer_pb2.OutlierUse.ValueType) -> str:
    return trainer_pb2.OutlierUse.Name(use).removeprefix("OUTLIER_USE_")


def _effort(summary: tuner_pb2.TuningSummary) -> str:
    tried = text.count(summary.candidate_count, "candidate")
    effort = f"{tried} in {text.count(summary.trial_count, 'fit')}"
    if summary.failures:
        reasons = sorted(summary.failures.items())
        told = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in reasons)
        effort += f"; without a score: {told}"
    if summary.HasField("first_model_after"):
        effort += f"; a first model after {text.seconds(text.span(summary.first_model_after))}"
    return effort


def _listed(scores: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {text.number(score)}" for name, score in sorted(scores))


def _member_row(member: tuner_pb2.Member) -> tuple[str, ...]:
    return str(member.candidate), member.family, text.number(member.weight, digits=3)


def _candidate_row(candidate: tuner_pb2.Candidate) -> tuple[str, ...]:
    origin = tuner_pb2.CandidateOrigin.Name(candidate.origin)
    return (
        str(candidate.number),
        candidate.family,
        text.number(candidate.score) if candidate.HasField("score") else "",
        str(candidate.fold_count),
        text.number(candidate.weight, digits=3) if candidate.weight else "",
        text.seconds(text.span(candidate.duration)),
        text.enum_word(origin, "CANDIDATE_ORIGIN_"),
        text.cut(candidate.failure, _LONGEST_SENTENCE) or _told_settings(candidate),
    )


def _told_settings(candidate: tuner_pb2.Candidate) -> str:
    use = f"outliers {_use(candidate.outlier_use)}" if candidate.outlier_use else ""
    return ", ".join(filter(None, (use, _settings(candidate))))


def _settings(candidate: tuner_pb2.Candidate | tuner_pb2.PortfolioScore) -> str:
    names = sorted(candidate.settings)
    told = [f"{each} {_value(candidate.settings[each])}" for each in names[:_SHOWN_SETTINGS]]
    return ", ".join([*told, "…"] if len(names) > _SHOWN_SETTINGS else told)


def _value(setting: tuner_pb2.Setting) -> str:
    kind = setting.WhichOneof("value")
    if kind == "number":
        return text.number(setting.number)
    if kind == "flag":
        return "yes" if setting.flag else "no"
    return text.cut(str(getattr(setting, kind)), _LONGEST_NAME) if kind else ""


def _places(run: tuner_pb2.TuningRun) -> Iterator[str]:
    for what in ("report", "leaderboard"):
        artifact = getattr(run, what)
        if artifact.uri:
            yield f"{what}: {artifact.uri}, {text.size(artifact.size_bytes)}"
    if run.report.uri:
        yield f"Look at it: aimass open {run.name}"
