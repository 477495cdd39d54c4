"""What a policy makes of a search that has ended: rules alone."""

from dataclasses import dataclass

from aimass.tuner.v1 import policy_pb2, tuner_pb2
from aimass.type.v1 import run_pb2
from services.tuner.champion.words import comparison_words, is_clearly_better

LEAST_ROWS = 30


@dataclass(frozen=True)
class Conclusion:
    """What is to be done.

    Attributes:
        outcome: What came of it, if nothing stands in the way.
        reason: Why, for people.
        moves: Whether the alias is to be moved.
    """

    outcome: policy_pb2.DecisionOutcome.ValueType
    reason: str
    moves: bool = False


def concluded(decision: policy_pb2.TuningDecision, run: tuner_pb2.TuningRun) -> Conclusion:
    """Returns what follows from a search.

    Args:
        decision: As it was begun.
        run: Its search, which has ended.
    """
    state = run.status.state
    if state != run_pb2.RUN_STATE_SUCCEEDED:
        return failed(_why(run))
    if not decision.champion:
        return Conclusion(
            policy_pb2.DECISION_OUTCOME_FIRST,
            f"{run.model_version} is the first one.",
            moves=True,
        )
    if not run.summary.HasField("comparison"):
        told = " ".join([f"{run.name} has not compared the two.", *run.summary.warnings[-1:]])
        return Conclusion(policy_pb2.DECISION_OUTCOME_KEPT, told)
    return _compared(run)


def failed(reason: str) -> Conclusion:
    """Returns what follows where there is nothing to decide by."""
    return Conclusion(policy_pb2.DECISION_OUTCOME_FAILED, reason)


def _compared(run: tuner_pb2.TuningRun) -> Conclusion:
    comparison = run.summary.comparison
    told = comparison_words(comparison, run.summary.metric)
    told = told.replace("It ", f"{run.model_version} ", 1)
    if not is_clearly_better(comparison):
        return Conclusion(policy_pb2.DECISION_OUTCOME_KEPT, told)
    if comparison.row_count < LEAST_ROWS:
        told += f" These are fewer than {LEAST_ROWS} rows, too few to decide by."
        return Conclusion(policy_pb2.DECISION_OUTCOME_KEPT, told)
    return Conclusion(policy_pb2.DECISION_OUTCOME_MOVED, told, moves=True)


def _why(run: tuner_pb2.TuningRun) -> str:
    if run.status.state == run_pb2.RUN_STATE_CANCELLED:
        return f"{run.name} was cancelled."
    return f"{run.name} failed: {run.status.error.message or 'it does not say why'}"
