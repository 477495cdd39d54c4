"""What there is time for."""

import numpy as np
import pytest

from common.data.rows import Values
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.robustness import plan
from services.analyzer.domain.robustness.columns import columns_of
from services.analyzer.domain.robustness.findings import DisturbanceKind
from services.analyzer.domain.robustness.plan import LEAST_ROWS, Cost, association, planned
from services.analyzer.domain.robustness.tables import table_disturbances
from tests.unit.analyzer.robustness_support import found_for, normal, subject_with

Kind = DisturbanceKind


def test_slow_models_get_fewer_rows_and_severities() -> None:
    """Within the time, the least rows and the most important disturbances are kept."""
    values = normal(6, 3000)
    subject = subject_with(lambda raw: raw["a"], values, values["a"])
    budget = Budget(20)
    columns = columns_of(subject, budget)
    disturbances = table_disturbances(columns)
    cheap = planned(subject, columns, disturbances, budget, Cost(0, 1e-6))
    assert (cheap.rows, cheap.severities, cheap.notes) == (3000, 5, ())
    slow = planned(subject, columns, disturbances, budget, Cost(0, 0.006))
    assert slow.rows >= LEAST_ROWS
    assert slow.severities == 3
    assert slow.rows * slow.evaluations * 0.006 < 20
    slowest = planned(subject, columns, disturbances, budget, Cost(0, 0.05))
    assert [each.kind for each in slowest.disturbances] == [Kind.MISSING]
    assert any(note.startswith("Left out") for note in slowest.notes)
    assert any("of 3,000 rows" in note for note in slowest.notes)


def test_calls_that_are_slow_by_themselves_are_counted() -> None:
    values = normal(6, 3000)
    subject = subject_with(lambda raw: raw["a"], values, values["a"])
    budget = Budget(20)
    columns = columns_of(subject, budget)
    plan = planned(subject, columns, table_disturbances(columns), budget, Cost(0.5, 1e-6))
    assert plan.evaluations * 0.5 < 20
    assert plan.rows == 3000


def test_no_time_still_gives_something() -> None:
    values = normal(4, 500)
    found = found_for(subject_with(lambda raw: raw["a"], values, values["a"]), 0.0)
    assert found.curves
    assert any("keep to the time" in note for note in found.notes)


def test_of_many_columns_those_that_matter_are_disturbed_one_by_one() -> None:
    generator = np.random.default_rng(0)
    values = {f"column {number}x": generator.standard_normal(300) for number in range(60)}
    name = "column 59x"
    found = found_for(subject_with(lambda raw: raw[name], values, values[name]))
    assert len(found.columns) == 50
    assert found.columns[0].column == name
    assert any("Of 60 columns" in note for note in found.notes)


def test_association_is_the_share_between_groups() -> None:
    codes = np.repeat([0, 1, -1], 100)
    outputs = np.column_stack([codes * 2.0, np.zeros(300)])
    assert association(codes, outputs) == pytest.approx(1)
    unrelated = np.tile([0, 1], 150)
    assert association(unrelated, outputs) == pytest.approx(0)
    assert association(codes.astype(float), np.ones((300, 1))) == 0


def test_many_outputs_and_rows_are_not_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand classes of a hundred thousand rows would take longer than the disturbances."""
    shapes = set()

    def watched(values: Values, outputs: Outputs) -> float:
        shapes.add((len(values), outputs.shape))
        return association(values, outputs)

    monkeypatch.setattr(plan, "association", watched)
    values = normal(2, 50_001)
    subject = subject_with(
        lambda raw: np.tile(raw["a"][:, None], 12), values, values["a"], outputs=["x"] * 12
    )
    columns = columns_of(subject, Budget(60))
    planned(subject, columns, table_disturbances(columns), Budget(60), Cost(0, 1e-6))
    assert shapes == {(16_667, (16_667, 10))}
