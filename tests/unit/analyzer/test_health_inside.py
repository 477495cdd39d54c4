"""Rules about the inside of models find what was made wrong there, by what the parts tell of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
from torch import Tensor

from common.data.rows import RawRows
from services.analyzer.domain import activations, curves, robustness, weights
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.health.inside_rules import RULES
from services.analyzer.domain.health.rules import Finding, Grade
from services.analyzer.domain.models.model import ModelFormat, Outputs
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.part import Part, PartName
from services.analyzer.domain.subject import History, Subject
from tests.support.analysis import trained_mlp

FIRST = "layers.0.weight"
Damage = Callable[[dict[str, Tensor]], None]


def damaged(folder: Path, damage: Damage, **options: object) -> Subject:
    """Returns a trained perceptron whose weights were changed afterwards."""
    subject = trained_mlp(folder, epochs=5, **options)
    assert isinstance(subject.model, TorchPackage)
    tensors = safetensors.torch.load_file(subject.model.weights)
    damage(tensors)
    safetensors.torch.save_file(tensors, subject.model.weights)
    return subject


class Answering:
    """A model that gives what a function says."""

    format = ModelFormat.SKLEARN

    def __init__(self, subject: Subject, answer: Callable[[RawRows], Outputs]) -> None:
        self._subject = subject
        self.predict = answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subject.model, name)


def found(rule: str, subject: Subject, name: PartName, part: Part) -> list[Finding]:
    """Returns what a rule finds by what a part tells."""
    result = part.analyse(subject, Budget(10.0))
    return list(RULES[rule](subject, {name: result}))


def _explode(tensors: dict[str, Tensor]) -> None:
    tensors[FIRST] *= 1e4


def _vanish(tensors: dict[str, Tensor]) -> None:
    tensors[FIRST] *= 1e-9


def _kill(tensors: dict[str, Tensor]) -> None:
    tensors[FIRST][:4] = 0


def _double(tensors: dict[str, Tensor]) -> None:
    tensors[FIRST][:4] = tensors[FIRST][4:5]


@pytest.mark.parametrize(
    ("rule", "damage"),
    [
        ("exploding_weights", _explode),
        ("vanishing_weights", _vanish),
        ("dead_weights", _kill),
        ("duplicate_units", _double),
    ],
)
def test_damaged_weights_are_named(tmp_path: Path, rule: str, damage: Damage) -> None:
    """The layer that was damaged, and no other; a sound model has none of it."""
    subject = damaged(tmp_path, damage)
    assert [each.subject for each in found(rule, subject, PartName.WEIGHTS, weights.PART)] == [
        FIRST
    ]
    sound = trained_mlp(tmp_path, epochs=5)
    assert found(rule, sound, PartName.WEIGHTS, weights.PART) == []


def test_units_that_are_never_active_are_named(tmp_path: Path) -> None:
    def silence(tensors: dict[str, Tensor]) -> None:
        tensors["layers.0.bias"][:8] = -1e6

    subject = damaged(tmp_path, silence)
    [finding] = found("dead_units", subject, PartName.ACTIVATIONS, activations.PART)
    assert finding.severity is Grade.WARNING
    assert finding.problem.startswith("8 of 16 units")


def test_units_at_the_end_of_their_range_are_named(tmp_path: Path) -> None:
    def push(tensors: dict[str, Tensor]) -> None:
        tensors["layers.0.bias"][:] = 50

    subject = damaged(tmp_path, push, activation="tanh")
    [finding] = found("saturated_units", subject, PartName.ACTIVATIONS, activations.PART)
    assert finding.problem.startswith("16 of 16 units")


def test_a_training_that_went_on_too_long_is_told(tmp_path: Path) -> None:
    epochs = np.arange(1, 41)
    values = {
        "train/loss": np.exp(-epochs / 8),
        "validation/loss": 0.3 + np.abs(epochs - 10) * 0.03,
    }
    history = History("models/tried/versions/1", epochs, values)
    subject = replace(trained_mlp(tmp_path, epochs=1), histories=[history])
    findings = found("training_curves", subject, PartName.CURVES, curves.PART)
    assert Grade.WARNING in {each.severity for each in findings}


def test_a_model_that_breaks_at_the_smallest_disturbance_is_fragile(tmp_path: Path) -> None:
    """It knows the rows as they are by heart, and guesses all others."""
    subject = trained_mlp(tmp_path, epochs=5)
    assert found("fragile", subject, PartName.ROBUSTNESS, robustness.PART) == []
    known = {row.tobytes(): place for place, row in enumerate(_rows(subject.sample.raw))}
    truth = np.asarray(subject.truth)

    def by_heart(raw: RawRows) -> Outputs:
        places = [known.get(row.tobytes(), -1) for row in _rows(raw)]
        return np.eye(2)[[truth[place] if place >= 0 else 0 for place in places]]

    brittle = replace(subject, model=Answering(subject, by_heart))
    findings = found("fragile", brittle, PartName.ROBUSTNESS, robustness.PART)
    assert findings and {each.rule for each in findings} == {"fragile"}


def _rows(raw: RawRows) -> np.ndarray:
    return np.column_stack(list(raw.columns.values()))
