"""Whether a policy acts on what it sees: rules alone, nothing is asked or stored here."""

from dataclasses import dataclass

from aimass.catalog.v1 import dataset_pb2
from aimass.tuner.v1 import policy_pb2, tuner_pb2
from common.names import DatasetVersionName

_MOST_DRIFTS = 20
_PASSING = frozenset({dataset_pb2.COLUMN_TYPE_TIMESTAMP})


@dataclass(frozen=True)
class Seen:
    """What a policy sees.

    Attributes:
        version: The newest version of its data.
        champion: The version that the alias points at; empty for nowhere.
        base: The version that was learned from last; empty where that is not known.
        drifts: How far columns moved since then, the most moved first.
        feedback_rows: Rows of feedback since the last search.
        moment: When it was looked, in nanoseconds since 1970.
    """

    version: str
    champion: str = ""
    base: str = ""
    drifts: tuple[policy_pb2.ColumnDrift, ...] = ()
    feedback_rows: int = 0
    moment: int = 0


@dataclass(frozen=True)
class Verdict:
    """What follows from that.

    Attributes:
        trigger: What starts a search; UNSPECIFIED where nothing does.
        reason: Why, one sentence.
        is_news: Whether there was anything new to look at.
    """

    trigger: policy_pb2.PolicyTrigger.ValueType
    reason: str
    is_news: bool = True


def judged(policy: policy_pb2.TuningPolicy, seen: Seen) -> Verdict:
    """Returns what a policy does about what it sees."""
    triggers = policy.triggers
    bound = triggers.feedback_rows
    if bound and seen.feedback_rows >= bound:
        return Verdict(
            policy_pb2.POLICY_TRIGGER_FEEDBACK,
            f"{seen.feedback_rows:,} rows of feedback were reported; the bound is {bound:,}.",
        )
    if not is_new(policy, seen):
        told = f"{seen.version} has been looked at"
        if bound:
            told += f", and {seen.feedback_rows:,} rows of feedback are fewer than {bound:,}"
        return Verdict(policy_pb2.POLICY_TRIGGER_UNSPECIFIED, f"{told}.", is_news=False)
    if not seen.champion:
        return Verdict(
            policy_pb2.POLICY_TRIGGER_NO_CHAMPION,
            f"The alias `{policy.alias}` of {policy.spec.model} points nowhere: a first model is "
            "needed.",
        )
    if seen.version == seen.base:
        return Verdict(
            policy_pb2.POLICY_TRIGGER_UNSPECIFIED,
            f"{seen.champion} has learned from {seen.version}.",
        )
    if triggers.new_version:
        return Verdict(policy_pb2.POLICY_TRIGGER_NEW_VERSION, f"{seen.version} is new.")
    return _judged_by_drift(triggers, seen)


def is_new(policy: policy_pb2.TuningPolicy, seen: Seen) -> bool:
    """Whether a version has not been looked at."""
    return number_of(seen.version) > number_of(policy.state.dataset_version)


def number_of(version: str) -> int:
    """Returns the number of a data set version; 0 of none."""
    return (DatasetVersionName.from_name(version).number or 0) if version else 0


def drifts_of(
    diff: dataset_pb2.DiffDatasetVersionsResponse, spec: tuner_pb2.TuningSpec
) -> tuple[policy_pb2.ColumnDrift, ...]:
    """Returns how far columns moved, the most moved first; those of another kind come before.

    Args:
        diff: Of two versions.
        spec: What is searched for: what it leaves out does not count.
    """
    counted = [each for each in diff.columns if _counts(each, spec)]
    drifts = [_drift(each) for each in counted]
    drifts.sort(key=lambda each: (each.HasField("distance"), -each.distance, each.column))
    return tuple(drifts[:_MOST_DRIFTS])


def _judged_by_drift(triggers: policy_pb2.PolicyTriggers, seen: Seen) -> Verdict:
    if not triggers.HasField("drift"):
        return Verdict(
            policy_pb2.POLICY_TRIGGER_UNSPECIFIED, f"{seen.version} is new, which starts nothing."
        )
    if not seen.base:
        return Verdict(
            policy_pb2.POLICY_TRIGGER_DRIFT,
            f"It is not known what {seen.champion} has learned from, so that drift cannot be "
            "measured.",
        )
    most = seen.drifts[0] if seen.drifts else policy_pb2.ColumnDrift(distance=0)
    if not most.HasField("distance"):
        return Verdict(
            policy_pb2.POLICY_TRIGGER_DRIFT,
            f"The column `{most.column}` is new, gone or of another type since {seen.base}.",
        )
    told = f"`{most.column}` moved by {most.distance:.3g} since {seen.base}"
    if most.distance > triggers.drift:
        return Verdict(policy_pb2.POLICY_TRIGGER_DRIFT, f"{told}; the bound is {triggers.drift:g}.")
    told = f"{told}, the most of all columns" if most.column else "No column moved"
    return Verdict(
        policy_pb2.POLICY_TRIGGER_UNSPECIFIED, f"{told}; the bound is {triggers.drift:g}."
    )


def _counts(column: dataset_pb2.ColumnDiff, spec: tuner_pb2.TuningSpec) -> bool:
    types = {column.base_type, column.type} - {dataset_pb2.COLUMN_TYPE_UNSPECIFIED}
    return column.name not in spec.left_out and types != _PASSING


def _drift(column: dataset_pb2.ColumnDiff) -> policy_pb2.ColumnDrift:
    drift = policy_pb2.ColumnDrift(column=column.name)
    if column.change == dataset_pb2.COLUMN_CHANGE_KEPT:
        drift.distance = max(column.psi, column.wasserstein)
    return drift
