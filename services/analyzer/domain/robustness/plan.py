"""What there is time for: how many rows, severities, columns."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import Values
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.robustness.columns import Columns
from services.analyzer.domain.robustness.disturbance import Disturbance
from services.analyzer.domain.robustness.tables import column_disturbances
from services.analyzer.domain.subject import Subject

LEAST_ROWS = 100

_MOST_ROWS = 10_000
_ENOUGH_ROWS = 500
_MOST_COLUMNS = 50
_COMPARED, _MOST_OUTPUTS = 20_000, 10
_FEWER_SEVERITIES = 3
_TIMED_SHARE = 0.02
_GROUPS = 10
_LEAST_SECONDS = 1e-7


@dataclass(frozen=True)
class Plan:
    """What is worked on.

    Attributes:
        rows: How many rows are disturbed.
        severities: How many severities each disturbance has.
        disturbances: Of all columns at once, in order of importance.
        single: Of single columns.
        notes: What was left out.
    """

    rows: int
    severities: int
    disturbances: tuple[Disturbance, ...]
    single: tuple[Disturbance, ...]
    notes: tuple[str, ...] = ()

    @property
    def evaluations(self) -> int:
        """How often the rows are predicted."""
        return sum(len(self.chosen(each)) for each in self.disturbances) + len(self.single)

    def chosen(self, disturbance: Disturbance) -> tuple[float, ...]:
        """Returns severities of a disturbance, spread evenly."""
        count = len(disturbance.severities)
        places = np.linspace(0, count - 1, min(count, self.severities)).round().astype(int)
        return tuple(disturbance.severities[place] for place in places)


@dataclass(frozen=True)
class Cost:
    """What predictions take.

    Attributes:
        call: Seconds that each takes, however few the rows.
        row: Seconds for a row on top.
    """

    call: float
    row: float

    def of(self, rows: int) -> float:
        """Returns the seconds for rows together."""
        return self.call + rows * self.row

    def rows(self, budget: Budget, evaluations: int, wanted: int, least: int) -> int:
        """Returns how many of the wanted rows can be predicted so often; at least the least."""
        left = budget.share(max(0.0, 1 - evaluations * self.call / max(budget.left, 1e-9)))
        return left.affords(wanted, evaluations * self.row, least)


def cost_of(subject: Subject, budget: Budget) -> Cost:
    """Returns what predictions take, measured on as many rows as are quick to predict."""
    rough = subject.seconds_per_row
    call = _seconds(subject, 1)
    rows = min(subject.sample.count, _MOST_ROWS, int(_TIMED_SHARE * budget.left / rough))
    whole = _seconds(subject, rows) if rows >= LEAST_ROWS else rough * rows
    return Cost(call, max(_LEAST_SECONDS, (whole - call) / max(1, rows)))


def _seconds(subject: Subject, rows: int) -> float:
    """Returns what a prediction takes; the shorter of two, since others may be at work."""
    raw = subject.sample.raw.take(slice(0, rows))
    times = []
    for _ in range(2):
        start = time.perf_counter()
        subject.model.predict(raw)
        times.append(time.perf_counter() - start)
    return min(times)


def planned(
    subject: Subject,
    columns: Columns,
    disturbances: Sequence[Disturbance],
    budget: Budget,
    cost: Cost,
) -> Plan:
    """Returns the largest plan that leaves enough rows; else one that takes the fewest rows.

    Args:
        subject: What is analysed.
        columns: Of the model.
        disturbances: Of all columns at once, in order of importance.
        budget: For all of it.
        cost: What predictions take.
    """
    count = min(subject.sample.count, _MOST_ROWS)
    names, notes = _single_columns(subject, columns)
    for severities, share in ((5, 1.0), (3, 1.0), (3, 0.5), (3, 0.2), (3, 0.0)):
        plan = _plan(columns, disturbances, names[: int(share * len(names))], severities)
        enough = min(count, _ENOUGH_ROWS)
        if plan.evaluations * cost.of(enough) <= budget.left:
            break
    plan = _shortened(plan, budget, cost.of(min(count, LEAST_ROWS)))
    rows = cost.rows(budget, plan.evaluations, count, LEAST_ROWS)
    if rows < count:
        notes.append(
            f"Only {rows:,} of {subject.sample.count:,} rows were disturbed, to keep to the time "
            "given."
        )
    notes += _left_out(plan, disturbances, names)
    return Plan(rows, plan.severities, plan.disturbances, plan.single, tuple(notes))


def _plan(
    columns: Columns, disturbances: Sequence[Disturbance], names: Sequence[str], severities: int
) -> Plan:
    single = [each for name in names for each in column_disturbances(columns, name)]
    return Plan(0, severities, tuple(disturbances), tuple(single))


def _shortened(plan: Plan, budget: Budget, seconds_each: float) -> Plan:
    """Returns a plan without the last disturbances, where even the fewest rows take too long."""
    most = budget.affords(plan.evaluations, seconds_each, plan.severities)
    if most >= plan.evaluations:
        return plan
    kept = max(1, most // plan.severities)
    return Plan(0, plan.severities, plan.disturbances[:kept], ())


def _left_out(plan: Plan, disturbances: Sequence[Disturbance], names: Sequence[str]) -> list[str]:
    """Says what there was no time for."""
    notes = []
    if plan.severities == _FEWER_SEVERITIES:
        notes.append("Three severities stand for five, to keep to the time given.")
    left = disturbances[len(plan.disturbances) :]
    if left:
        words = ", ".join(each.kind.label for each in left)
        notes.append(f"Left out, to keep to the time given: {words}.")
    tried = len({each.column for each in plan.single})
    if tried < len(names):
        notes.append(
            f"{tried} of {len(names)} columns were disturbed one by one, to keep to the time given."
        )
    return notes


def _single_columns(subject: Subject, columns: Columns) -> tuple[list[str], list[str]]:
    """Returns the columns that are disturbed one by one, most important first, and notes."""
    names = columns.table
    if len(names) < 2:
        return [], []
    raw, rows = subject.sample.raw.columns, slice(None, None, -(-subject.sample.count // _COMPARED))
    outputs = subject.outputs[rows, :_MOST_OUTPUTS]
    bound = {name: association(raw[name][rows], outputs) for name in names}
    chosen = subject.settings.features
    order = sorted(names, key=lambda name: (name not in chosen, -bound[name]))
    if len(order) <= _MOST_COLUMNS:
        return order, []
    note = (
        f"Of {len(order)} columns, the {_MOST_COLUMNS} with the closest relation to the output "
        "were disturbed one by one."
    )
    return order[:_MOST_COLUMNS], [note]


def association(values: Values, outputs: Outputs) -> float:
    """Returns the share of the outputs' variance that lies between groups of like values.

    Args:
        values: Numbers or codes of labels, (rows,).
        outputs: (rows, outputs).
    """
    centred = outputs - outputs.mean(axis=0)
    total = float((centred**2).sum())
    groups = _groups(values)
    sums = np.stack([np.bincount(groups, weights=each) for each in centred.T])
    between = float((sums**2 / np.maximum(1, np.bincount(groups))).sum())
    return between / total if total > 0 else 0.0


def _groups(values: Values) -> npt.NDArray[np.int64]:
    if values.dtype.kind != "f":
        return values.astype(np.int64) + 1
    numbers = values.astype(np.float64)
    there = np.isfinite(numbers)
    if not there.any():
        return np.zeros(len(values), np.int64)
    edges = np.quantile(numbers[there], np.linspace(0, 1, _GROUPS + 1)[1:-1])
    return np.where(there, 1 + np.searchsorted(edges, numbers), 0)
