"""Small steps that are chosen to hurt: against what is known of linear networks."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.robustness.attacks import Attacks, attacked, random_steps
from services.analyzer.domain.robustness.columns import columns_of
from services.analyzer.domain.robustness.findings import AttackKind
from services.analyzer.domain.robustness.gradients import Gradients
from services.analyzer.domain.robustness.plan import Cost
from services.analyzer.domain.robustness.room import Room, room_of, sizes_of
from services.analyzer.domain.robustness.scoring import Baseline, baseline_of
from services.analyzer.domain.subject import Subject
from tests.support.analysis import trained_cnn
from tests.unit.analyzer.activations_support import onnx_twin
from tests.unit.analyzer.robustness_support import (
    linear_subject,
    subject_with,
    without_truth,
)

WEIGHTS = np.array([[2.0, -1.0, 0.5]])
SIZE = 0.25


def numbers(rows: int = 500) -> dict[str, Any]:
    values = np.random.default_rng(0).normal(5, 2, (3, rows))
    return dict(zip("abc", values, strict=True))


@pytest.fixture(scope="module")
def regression() -> Subject:
    values = numbers()
    truth = np.random.default_rng(1).normal(2, 3, 500)
    return linear_subject(WEIGHTS, values, truth)


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    subject = trained_cnn(tmp_path_factory.mktemp("cnn"), epochs=2)
    return replace(subject, sample=subject.sample.take(slice(0, 100)))


def parts_of(subject: Subject, rows: int = 200) -> tuple[Baseline, Room, Gradients]:
    baseline = baseline_of(subject, rows)
    room = room_of(subject, columns_of(subject, Budget(60)), baseline.raw)
    assert isinstance(subject.model, TorchPackage)
    return baseline, room, Gradients(subject.model, baseline, room)


def attacks_on(subject: Subject, cost: float = 1e-6) -> Attacks:
    columns, budget = columns_of(subject, Budget(60)), Budget(60)
    return attacked(subject, columns, baseline_of(subject, 200), budget, Cost(0.0, cost))


def test_one_step_on_a_linear_model_is_the_worst_of_all_signs(regression: Subject) -> None:
    """Compared with all eight corners of what is allowed, row by row."""
    baseline, room, gradients = parts_of(regression)
    limits = [room.limits(name, SIZE) for name in "abc"]
    corners = []
    for sides in itertools.product((0, 1), repeat=3):
        steps = {name: each[side] for name, each, side in zip("abc", limits, sides, strict=True)}
        corners.append(baseline.rows(regression.predict(room.moved(steps))))
    fast = room.moved(gradients.fast(gradients.signs(), SIZE))
    scores = baseline.rows(regression.predict(fast))
    np.testing.assert_allclose(scores, np.min(corners, axis=0), atol=1e-4)


def test_steps_stay_small_and_within_the_data(regression: Subject) -> None:
    baseline, room, gradients = parts_of(regression)
    for steps in (
        gradients.fast(gradients.signs(), SIZE),
        gradients.projected(SIZE, 4, seed=0),
        random_steps(room, SIZE, 0, 0),
    ):
        moved = room.moved(steps)
        for name, whole in regression.sample.raw.columns.items():
            own, before = moved.columns[name], baseline.raw.columns[name]
            limit = SIZE * float(np.std(whole.astype(float))) + 1e-5
            assert np.abs(own.astype(float) - before.astype(float)).max() <= limit
            assert own.min() >= whole.min() - 1e-5
            assert own.max() <= whole.max() + 1e-5


def test_several_steps_hurt_as_much_as_one_on_a_linear_model(regression: Subject) -> None:
    """Each row's loss grows to one side; a row whose error changes its sign may be stuck."""
    baseline, room, gradients = parts_of(regression)
    fast = room.moved(gradients.fast(gradients.signs(), SIZE))
    slow = room.moved(gradients.projected(SIZE, 5, seed=0))
    fast_score = baseline.rows(regression.predict(fast)).mean()
    slow_score = baseline.rows(regression.predict(slow)).mean()
    assert slow_score == pytest.approx(fast_score, rel=0.1)


def test_chosen_steps_hurt_more_than_random_ones() -> None:
    """Two classes by a line: the one step is known to the margin of each row."""
    values = numbers()
    matrix = np.column_stack([*values.values()])
    scores = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0) @ WEIGHTS[0]
    truth = (scores > 0).astype(np.int64)
    subject = linear_subject(np.vstack([-WEIGHTS, WEIGHTS]), values, truth, "xy")
    found = {each.curve.kind: each for each in attacks_on(subject).found}
    assert list(found) == [AttackKind.FGSM, AttackKind.PGD, AttackKind.RANDOM_SIGN]
    chosen = baseline_of(subject, 200).positions
    for point in found[AttackKind.FGSM].curve.points:
        safe = (np.abs(scores[chosen]) > point.severity * np.abs(WEIGHTS).sum()).mean()
        assert point.score.value == pytest.approx(safe, abs=0.03)  # the data's range holds some
        assert point.score.value >= safe - 1e-9
    for chosen_point, random_point in zip(
        found[AttackKind.PGD].curve.points, found[AttackKind.RANDOM_SIGN].curve.points, strict=True
    ):
        assert chosen_point.score.value <= random_point.score.value


def test_what_is_missing_is_not_moved() -> None:
    values = numbers(50)
    values["b"][::2] = np.nan
    values["c"][:] = 7.0
    subject = linear_subject(WEIGHTS, values, np.zeros(50))
    _, room, gradients = parts_of(subject, 50)
    moved = room.moved(gradients.fast(gradients.signs(), SIZE)).columns
    assert np.isnan(moved["b"].astype(float)[::2]).all()
    assert np.isfinite(moved["b"].astype(float)[1::2]).all()
    np.testing.assert_array_equal(moved["c"], values["c"])


def test_without_truth_a_regression_is_pushed_away(regression: Subject) -> None:
    """The error is 0 at first and has no gradient: any direction is as wrong."""
    found = attacks_on(without_truth(regression)).found
    assert found[0].curve.points[-1].score.value < found[0].score.value - 0.1


def test_images_move_by_whole_bytes(cnn: Subject) -> None:
    baseline, room, gradients = parts_of(cnn)
    assert sizes_of(columns_of(cnn, Budget(60))) == (1, 2, 4, 8, 16)
    for steps in (gradients.fast(gradients.signs(), 4), gradients.projected(4, 3, seed=0)):
        moved = room.moved(steps).columns["image"]
        assert moved.dtype == np.uint8
        change = moved.astype(int) - baseline.raw.columns["image"].astype(int)
        assert 0 < np.abs(change).max() <= 4


def test_images_break_at_steps_that_random_ones_do_not(cnn: Subject) -> None:
    attacks = attacks_on(cnn)
    fast, slow, random = (each.curve.points[-1].score.value for each in attacks.found)
    assert fast < random
    assert slow < random
    assert attacks.example is not None
    assert attacks.example.count == len(attacks.sizes) == 6
    assert all(each.grad is None for each in cnn.model.network.parameters())  # type: ignore[attr-defined]


def test_onnx_is_searched_at_random(cnn: Subject) -> None:
    """It has no gradients: named so, never better than undisturbed, and weaker than gradients."""
    assert isinstance(cnn.model, TorchPackage)
    subject = replace(cnn, model=onnx_twin(cnn.model, cnn.sample))
    attacks = attacks_on(subject)
    (found,) = attacks.found
    assert found.curve.kind is AttackKind.RANDOM_SEARCH
    assert any("no gradients" in note and "10 random" in note for note in attacks.notes)
    assert all(each.score.value <= found.score.value for each in found.curve.points)
    fast = attacks_on(cnn).found[0].curve.points[-1]
    assert found.curve.points[-1].score.value >= fast.score.value


def test_little_time_leaves_the_dearest_out(cnn: Subject) -> None:
    """First fewer steps and sizes, then one step only, then nothing."""
    some = attacks_on(cnn, cost=0.08)
    assert [each.curve.kind for each in some.found] == [AttackKind.FGSM, AttackKind.RANDOM_SIGN]
    assert any("Projected" in note for note in some.notes)
    assert attacks_on(cnn, cost=10.0).found == ()
    assert "left out" in attacks_on(cnn, cost=10.0).notes[0]


def test_texts_and_labels_are_not_stepped() -> None:
    codes = np.random.default_rng(0).integers(0, 2, 30)
    subject = subject_with(
        lambda raw: raw["a"] * 1.0, {"a": codes}, codes * 1.0, labels={"a": ("x", "y")}
    )
    assert attacks_on(subject).found == ()


def test_a_network_loaded_in_inference_mode_has_gradients(tmp_path: Path) -> None:
    """The first prediction may have loaded it so."""
    subject = linear_subject(WEIGHTS, numbers(30), np.zeros(30))
    subject.predict(subject.sample.raw)
    _, _, gradients = parts_of(subject, 30)
    assert gradients.signs().abs().min() == 1
