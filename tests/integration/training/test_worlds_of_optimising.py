"""Ways of optimising do the same in worlds of any size."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from google.protobuf import json_format

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.data.schema import Task
from common.models.store import read_part
from services.trainer.domain.sampling import global_batch
from services.trainer.worker.course import Course
from services.trainer.worker.state import Snapshot, StagePlace
from tests.support.training import split_parts
from tests.support.world import Ending
from tests.support.worlds import SPEC, Worlds, assert_the_world_does_not_matter, columns

pytestmark = pytest.mark.slow


def test_teacher_and_decay_survive_changes_of_the_world(worlds: Worlds) -> None:
    """Protects pruned networks: one, three and two workers train them to the same weights."""
    desk = worlds.desk
    data = desk.dataset(columns(101), split_parts(101), "y", Task.REGRESSION)
    plain = {**SPEC, "network": {"mlp": {"hidden_widths": [16]}}, "epochs": 3}
    original = desk.job(data, plain, run="original")
    worlds.run(worlds.world(original, size=1))
    teacher = desk.package(original)
    weights = safetensors.torch.load(read_part(teacher, "weights", desk.store))
    strengths = {"layers.0.weight": torch.linspace(0, 200, 16)[:, None].repeat(1, 10)}
    spec = {
        **plain,
        "epochs": 6,
        "monitor": "none",
        "schedule": {"cosine_decay": True},
        "parent_model_version": teacher.name,
        "starting_weights": desk.tensors({**weights, "layers.0.bias": torch.zeros(16)}, "weights"),
        "distillation": {"teacher_model_version": teacher.name},
        "growing_decay": {"strengths": desk.tensors(strengths, "strengths")},
    }
    made = assert_the_world_does_not_matter(worlds, data, spec, (5, 10), teacher)
    norms = made["layers.0.weight"].norm(dim=1)
    assert norms[12:].max() < 0.2 * norms[:2].max()


def test_ways_of_optimising_survive_changes_of_the_world(worlds: Worlds) -> None:
    """Protects losses, draws, cycle, average, micro-batches in worlds of any size."""
    desk = worlds.desk
    table = columns(151)
    table["y"] = np.where(table["y"].astype(np.float64) > 1.8, "high", "low").astype(object)
    data = desk.dataset(table, split_parts(151), "y")
    spec = {
        **SPEC,
        "network": {"mlp": {"hidden_widths": [16]}},
        "loss": {
            "class_weights": {"high": 2.0},
            "focal_gamma": 1.0,
            "balanced_sampling": True,
        },
        "optimizer": {"learning_rate": 0.01, "ema_decay": 0.9, "accumulation_steps": 4},
        "schedule": {"one_cycle": {}},
        "epochs": 6,
    }
    assert_the_world_does_not_matter(worlds, data, spec)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_survives_changes_of_the_world(worlds: Worlds, precision: str) -> None:
    """Protects the curve in 16 bits: scale and steps go along with the state."""
    data = worlds.desk.dataset(columns(203), split_parts(203), "y", Task.REGRESSION)
    network = {"mlp": {"hidden_widths": [32, 16]}}
    spec = {**SPEC, "network": network, "precision": precision}
    alone, changing = (worlds.desk.job(data, spec, run=run) for run in ("one", "more"))
    endings = worlds.run(
        worlds.world(alone, size=1),
        worlds.world(changing, size=3, kill_at=7),
        worlds.world(changing, size=1, kill_at=17),
        worlds.world(changing, size=2),
    )
    assert [ending.exit_codes for ending in endings] == [[0], [-9] * 3, [-9], [0, 0]]
    assert f"{precision} on cpu, from step" in str(endings[-1].reports)
    np.testing.assert_allclose(worlds.history(changing), worlds.history(alone), rtol=0.05)


def test_gradients_in_half_precision_train_as_whole_ones_do(worlds: Worlds) -> None:
    """Protects compression: the curve is that of whole gradients up to rounding."""
    data = worlds.desk.dataset(columns(203), split_parts(203), "y", Task.REGRESSION)
    plain = {**SPEC, "network": {"mlp": {"hidden_widths": [32, 16]}}}
    spec = {**plain, "communication": {"compression": "fp16"}}
    whole = worlds.desk.job(data, plain, run="whole")
    halves = worlds.desk.job(data, spec, run="halves")
    endings = worlds.run(
        worlds.world(whole), worlds.world(halves, kill_at=17), worlds.world(halves)
    )
    assert [ending.exit_codes for ending in endings] == [[0, 0], [-9, -9], [0, 0]]
    found, expected = worlds.history(halves), worlds.history(whole)
    np.testing.assert_allclose(found[0], expected[0], rtol=2e-3)
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_what_sums_go_by_changes_no_bit(worlds: Worlds) -> None:
    """Protects runs that move: a sum of two is the same in shared memory and by Horovod."""
    data = worlds.desk.dataset(columns(203), split_parts(203), "y", Task.REGRESSION)
    near, far = {**SPEC}, {**SPEC, "communication": {"transport": "horovod"}}
    jobs = [worlds.desk.job(data, near, run="near"), worlds.desk.job(data, far, run="far")]
    endings = worlds.run(*(worlds.world(job) for job in jobs))
    said = [performance_of(ending).transport for ending in endings]
    assert said == [trainer_pb2.TRANSPORT_SHARED_MEMORY, trainer_pb2.TRANSPORT_HOROVOD]
    np.testing.assert_array_equal(worlds.history(jobs[0]), worlds.history(jobs[1]))


def performance_of(ending: Ending) -> agents_pb2.WorkerPerformance:
    """Returns what rank 0 says of its steps."""
    said = next(report["performance"] for report in ending.reports[0] if "performance" in report)
    return json_format.Parse(json.dumps(said), agents_pb2.WorkerPerformance())


def test_adasum_does_what_its_formula_says(worlds: Worlds) -> None:
    """Protects the combination of two workers' gradients, and that it survives a kill."""
    desk = worlds.desk
    data = desk.dataset(columns(40), np.zeros(40, np.uint8), "y", Task.REGRESSION)
    spec = {
        "weight_column": "w",
        "network": {"linear": {}},
        "optimizer": {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.0},
        "communication": {"reduction": "adasum"},
        "batch_size": 40,
        "epochs": 1,
        "workers": {"min": 2},
    }
    once = desk.job(data, spec, run="once")
    twice, killed = (
        desk.job(data, {**spec, "batch_size": 7, "epochs": 4, "commit_steps": 1}, run=run)
        for run in ("twice", "killed")
    )
    endings = worlds.run(
        worlds.world(once),
        worlds.world(twice),
        worlds.world(killed, kill_at=9),
        worlds.world(killed),
    )
    assert [ending.exit_codes for ending in endings] == [[0, 0], [0, 0], [-9, -9], [0, 0]]
    np.testing.assert_allclose(worlds.history(killed), worlds.history(twice), rtol=1e-5)
    rows = Course.open(once, desk.cache, desk.store).stage(StagePlace()).rows
    order = global_batch(40, 40, once.specification.seed, epoch=0, step=0)
    batch = rows.batch(rows.training[order])
    inputs = torch.cat([batch.inputs[0], torch.ones(40, 1)], dim=1).double()
    # The network begins at zero: what it gives for every row.
    gradients = -2 * (batch.target * batch.weight)[:, None] * inputs / batch.weight.sum()
    first, second = 2 * gradients[:20].sum(dim=0), 2 * gradients[20:].sum(dim=0)
    product = first @ second
    combined = first * (1 - product / (2 * first @ first))
    combined += second * (1 - product / (2 * second @ second))
    content = (desk.context(once).commit_dir / "commit.safetensors").read_bytes()
    weights = Snapshot.from_bytes(content).tensors["parameters"]
    torch.testing.assert_close(weights.double(), -0.05 * combined, rtol=1e-4, atol=1e-6)
