"""A pruning whose analyzer is away ends all the same."""

from types import SimpleNamespace
from typing import Any

import pytest

from aimass.pruner.v1 import pruner_pb2
from services.pruner import comparing


def test_an_analyzer_that_is_away_costs_the_comparison_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody answers at the address; the run hears that nothing is compared."""
    monkeypatch.setenv("AIMASS_ANALYZER_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(comparing, "_PATIENCE_SECONDS", 0.1)
    told: list[str] = []
    spec = pruner_pb2.PruningSpec(model_version="models/m/versions/1")
    owner: Any = SimpleNamespace(
        name="pruningRuns/p",
        run=pruner_pb2.PruningRun(spec=spec),
        log=lambda text, source: told.append(text),
    )
    assert comparing.compare(owner, "models/m/versions/2") == ""
    assert told == ["The analyzer is away: nothing is compared."]
