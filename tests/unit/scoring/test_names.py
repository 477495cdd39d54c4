"""What services say of metrics without their libraries is what these say."""

from collections.abc import Mapping

import pytest

from common.scoring import registry
from common.scoring.kinds import TABLE_KINDS, ProblemKind
from common.scoring.names import (
    DEFAULT_METRICS,
    METRIC_KINDS,
    metric_kinds,
    metrics_for,
)


def test_metrics_are_those_of_the_registry() -> None:
    metrics = registry.METRICS.items()
    assert _of_tables(METRIC_KINDS) == {name: each.kinds for name, each in metrics}
    for kind in TABLE_KINDS:
        assert DEFAULT_METRICS[kind] == registry.default_metric(kind).name
        assert metrics_for(kind) == [each.name for each in registry.metrics_for(kind)]


@pytest.mark.parametrize("name", ["pinball_0.9", "pinball_.05", "pinball_5e-1"])
def test_any_quantile_is_a_metric(name: str) -> None:
    assert metric_kinds(name) == registry.metric_named(name).kinds


@pytest.mark.parametrize("name", ["", "pinball_", "pinball_1", "pinball_0", "pinball_nan", "rmsle"])
def test_other_words_are_none(name: str) -> None:
    assert not metric_kinds(name)


def _of_tables(kinds: Mapping[str, frozenset[ProblemKind]]) -> dict[str, frozenset[ProblemKind]]:
    found = {name: each - {ProblemKind.FORECASTING} for name, each in kinds.items()}
    return {name: each for name, each in found.items() if each}
