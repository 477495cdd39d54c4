"""Policies and their decisions on the screen."""

from collections.abc import Iterable, Iterator

from rich.console import Console

from aimass.tuner.v1 import policy_pb2, tuner_pb2
from common.cli import text

_LONGEST = 400


def show_policy(policy: policy_pb2.TuningPolicy, console: Console) -> None:
    """Prints a policy."""
    for line in _policy_lines(policy):
        console.print(text.harmless(line), soft_wrap=True, markup=False)


def show_decision(decision: policy_pb2.TuningDecision, console: Console) -> None:
    """Prints a decision, or what would be decided."""
    for line in _decision_lines(decision):
        console.print(text.harmless(line), soft_wrap=True, markup=False)


def decision_rows(decisions: Iterable[policy_pb2.TuningDecision]) -> list[tuple[str, ...]]:
    """Returns rows of a table of decisions."""
    return [
        (
            each.name.rpartition("/")[2],
            _outcome(each),
            each.dataset_version,
            text.number(each.comparison.gain) if each.HasField("comparison") else "",
            text.moment(each.create_time),
            text.cut(text.harmless(each.reason), _LONGEST),
        )
        for each in decisions
    ]


def triggers_line(policy: policy_pb2.TuningPolicy) -> str:
    """Returns what starts a search."""
    triggers, found = policy.triggers, []
    if triggers.new_version:
        found.append("each new version")
    if triggers.HasField("drift"):
        found.append(f"drift above {text.number(triggers.drift)}")
    if triggers.HasField("feedback_rows"):
        found.append(f"feedback on {text.count(triggers.feedback_rows, 'row')}")
    return ", ".join(found) or "when asked to"


def comparison_line(comparison: tuner_pb2.Comparison) -> str:
    """Returns how a model does beside another one."""
    numbers = (comparison.gain, comparison.gain_low, comparison.gain_high)
    gain, low, high = (text.number(each, digits=3) for each in numbers)
    rows = text.count(comparison.row_count, "test row")
    return f"beside {comparison.model_version}: gain {gain} ({low} to {high}) on {rows}"


def _policy_lines(policy: policy_pb2.TuningPolicy) -> Iterator[str]:
    yield f"{policy.name}{'  paused' if policy.paused else ''}"
    wanted = f", as {policy.creator} wanted" if policy.creator else ""
    yield f"watches {policy.dataset} for {policy.spec.model}@{policy.alias}{wanted}"
    yield f"searches: {triggers_line(policy)}"
    state = policy.state
    if state.dataset_version:
        yield f"looked at {state.dataset_version}; {text.count(state.decision_count, 'decision')}"
    if state.decision:
        yield f"under way: {state.decision}"


def _decision_lines(decision: policy_pb2.TuningDecision) -> Iterator[str]:
    name = decision.name or "it would be"
    yield f"{name}: {_outcome(decision)}"
    yield decision.reason
    for each in decision.drifts[:5]:
        moved = text.number(each.distance) if each.HasField("distance") else "another kind"
        yield f"moved since {decision.base_version}: {each.column} {moved}"
    if decision.tuning_run:
        yield f"search: {decision.tuning_run}"
    if decision.HasField("comparison"):
        yield comparison_line(decision.comparison)


def _outcome(decision: policy_pb2.TuningDecision) -> str:
    name = policy_pb2.DecisionOutcome.Name(decision.outcome)
    return text.enum_word(name, "DECISION_OUTCOME_")
