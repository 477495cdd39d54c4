"""Mixed precision: quality, memory, loss scaling, and what of it a commit holds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from aimass.catalog.v1 import dataset_pb2
from aimass.trainer.v1 import trainer_pb2
from common.networks.specification import NetworkSpecification
from services.trainer.domain.job import Job
from services.trainer.domain.precision import has_native_bf16
from services.trainer.worker import arithmetic
from services.trainer.worker.arithmetic import CPU, Arithmetic, LossScale, choose_precision
from services.trainer.worker.course import Course
from services.trainer.worker.engine import DivergedError
from services.trainer.worker.pupil import make_pupil
from services.trainer.worker.reduction.reducer import SingleReducer
from services.trainer.worker.stages import Trainee
from services.trainer.worker.state import Snapshot, StagePlace
from tests.support.training import Desk, resolve_spec, split_parts
from tests.unit.trainer.test_training import history_of, mixed_data, train_until

_METRICS = ("loss", "accuracy")
CNN = {"cnn": {"blocks": [{"channels": 16}, {"channels": 32}]}}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def digits(desk: Desk) -> dataset_pb2.DatasetVersion:
    """1,797 digits of 8 x 8 pixels, three of ten held out."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels * 15).astype(np.uint8).reshape(-1, 1, 8, 8)
    columns = {"image": images, "digit": np.array([str(label) for label in labels], object)}
    return desk.dataset(columns, split_parts(len(images), 0.3), "digit")


def trainee_of(desk: Desk, job: Job) -> Trainee:
    """Returns what a worker alone begins with."""
    stage = Course.open(job, desk.cache, desk.store).stage(StagePlace())
    pupil = make_pupil(stage.job, desk.store, 0)
    return Trainee(stage, pupil, desk.context(job), SingleReducer())


def last_commit(desk: Desk, job: Job) -> Snapshot:
    """Returns what the final commit of a run holds."""
    content = (desk.context(job).commit_dir / "commit.safetensors").read_bytes()
    return Snapshot.from_bytes(content)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_quality_stays_within_noise(
    desk: Desk, digits: dataset_pb2.DatasetVersion, precision: str
) -> None:
    """Protects models: 16 bits change the loss by less than another seed does."""
    measured = {}
    for kind in ("fp32", precision):
        spec = {"network": CNN, "batch_size": 64, "epochs": 4, "precision": kind}
        outcomes = [
            desk.train(desk.job(digits, {**spec, "seed": seed}, run=f"{kind}-{seed}"))
            for seed in range(3)
        ]
        measured[kind] = np.array(
            [[each.metrics[f"validation/{name}"] for name in _METRICS] for each in outcomes]
        )
    difference = np.abs(measured[precision].mean(axis=0) - measured["fp32"].mean(axis=0))
    assert difference[0] < np.ptp(measured["fp32"][:, 0])
    assert difference[1] < 0.01


def kept_bytes(trainee: Trainee) -> int:
    """Returns what a step keeps for the backward pass, weights aside."""
    weights = trainee.engine.flat.parameters.untyped_storage().data_ptr()
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() != weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    unpack: Callable[[Tensor], Tensor] = lambda tensor: tensor  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        trainee.engine.step(0, 0.001)
    return sum(kept.values())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_stored_activations_take_about_half_the_memory(
    desk: Desk, digits: dataset_pb2.DatasetVersion, precision: str
) -> None:
    """Protects the reason to have it: places of maxima and class codes alone keep their size."""
    networks = {
        "cnn": {"cnn": {"blocks": [{"channels": 32, "pool": 1}, {"channels": 64, "pool": 1}]}},
        "resnet": {"resnet": {"width": 8}},
    }
    for name, network in networks.items():
        # Many rows, so that the 16-bit copies of weights, which are kept as well, do not count.
        spec = {"network": network, "batch_size": 1_024}
        whole, half = (
            kept_bytes(trainee_of(desk, desk.job(digits, {**spec, "precision": kind}, run=kind)))
            for kind in ("fp32", precision)
        )
        assert 0.4 < half / whole < 0.6, name


def test_weights_and_optimizer_stay_in_single_precision(
    desk: Desk, digits: dataset_pb2.DatasetVersion
) -> None:
    """Protects small updates: 16 bits would round them away."""
    trainee = trainee_of(desk, desk.job(digits, {"network": CNN, "precision": "bf16"}))
    trainee.engine.step(0, 0.001)
    kinds = {tensor.dtype for tensor in trainee.snapshot().tensors.values()}
    assert kinds == {torch.float32, torch.float64}, "the history is the only double"
    assert trainee.engine.flat.exchange.dtype == torch.float32


def test_a_step_with_gradients_too_large_is_skipped(
    desk: Desk, digits: dataset_pb2.DatasetVersion
) -> None:
    """Protects from overflow: nothing changes but the scale, and the step is counted."""
    job = desk.job(digits, {"network": CNN, "precision": "fp16"})
    trainee = trainee_of(desk, job)
    engine = trainee.engine
    engine.step(0, 0.001)
    engine.arithmetic.scale.factor = 2.0**60
    before = engine.flat.parameters.detach().clone()
    engine.step(1, 0.001)
    assert torch.equal(engine.flat.parameters, before)
    assert engine.arithmetic.scale == LossScale(2.0**59, 0, 1)
    engine.arithmetic.scale.factor = 2.0**10
    trainee.state.step = 2
    other = trainee_of(desk, job)
    other.restore(Snapshot.from_bytes(trainee.snapshot().to_bytes()))
    assert other.engine.arithmetic.scale == engine.arithmetic.scale
    for each in (trainee, other):
        each.engine.step(2, 0.001)
    assert torch.equal(engine.flat.parameters, other.engine.flat.parameters), (
        "Adam counts updates, not steps"
    )


def test_gradients_that_overflow_at_any_scale_end_the_run(
    desk: Desk, digits: dataset_pb2.DatasetVersion
) -> None:
    """Protects from skipping for ever."""
    engine = trainee_of(desk, desk.job(digits, {"network": CNN, "precision": "fp16"})).engine
    engine.arithmetic.scale.factor = 1.0
    with torch.no_grad():
        engine.flat.parameters.mul_(1e4)
    with pytest.raises(DivergedError, match="step 1"):
        engine.step(0, 0.001)


def test_the_scale_doubles_after_good_steps_and_has_an_end() -> None:
    """Protects small gradients, and the scale from overflowing itself."""
    scale = LossScale()
    for _ in range(2_000 * 20):
        scale.note(is_good=True)
    assert scale == LossScale(2.0**24, 0, 0)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    desk: Desk, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects the resumed curve: precision, scale and its counters are part of a commit."""
    monkeypatch.setattr(arithmetic, "_GROWTH_STEPS", 7)
    data = mixed_data(desk)
    spec = {
        "network": {"mlp": {"batch_norm": True}},
        "epochs": 4,
        "batch_size": 32,
        "precision": precision,
        "commit_steps": 4,
    }
    undisturbed, disturbed = (desk.job(data, spec, run=run) for run in ("one", "other"))
    desk.train(undisturbed)
    for step in (6, 14):
        train_until(desk, disturbed, step)
    desk.train(disturbed)
    expected = history_of(desk, undisturbed)
    np.testing.assert_allclose(history_of(desk, disturbed), expected, rtol=1e-5)
    words, other = (last_commit(desk, job).metadata for job in (undisturbed, disturbed))
    assert words["precision"] == other["precision"] == precision
    assert words["scale"] == other["scale"]
    assert ('"factor": 65536.0' in words["scale"]) == (precision == "bf16")


def test_a_run_keeps_to_the_precision_it_began_in(
    desk: Desk, digits: dataset_pb2.DatasetVersion
) -> None:
    """Protects the curve from hosts of several kinds, and runs of the version before."""
    begun = trainee_of(desk, desk.job(digits, {"network": CNN, "precision": "bf16"})).snapshot()
    later = trainee_of(desk, desk.job(digits, {"network": CNN, "precision": "fp32"}, run="later"))
    later.restore(begun)
    assert later.engine.arithmetic.kind == "bf16"
    words = {name: text for name, text in begun.metadata.items() if name not in _NEW_WORDS}
    later.restore(Snapshot(begun.tensors, words))
    assert later.engine.arithmetic == Arithmetic()


_NEW_WORDS = ("precision", "scale")


def test_auto_goes_by_network_and_device() -> None:
    """Protects tables, whose numbers have more digits than 16 bits hold."""
    table, images = (NetworkSpecification.model_validate({kind: {}}) for kind in ("mlp", "cnn"))
    assert choose_precision("auto", table, CPU) == "fp32"
    expected = "bf16" if has_native_bf16() else "fp32"
    assert choose_precision("auto", images, CPU) == expected
    assert choose_precision("fp16", table, CPU) == "fp16"


def test_auto_is_left_to_the_workers(desk: Desk, digits: dataset_pb2.DatasetVersion) -> None:
    """Protects the resolved specification: it holds no guess of a device."""
    resolved = resolve_spec(digits, {})
    assert resolved.precision == trainer_pb2.PRECISION_AUTO
    spec = resolve_spec(digits, {"precision": "bf16"})
    assert spec.precision == trainer_pb2.PRECISION_BF16
