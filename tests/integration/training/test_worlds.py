"""Trainings on real Horovod worlds of forked workers, with data and jobs in a real MinIO."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from google.protobuf import json_format

from aimass.catalog.v1 import dataset_pb2
from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.artifacts import ObjectStore
from common.data.schema import Task, TimeSeries
from common.models.store import read_part
from common.testing.datasets import text_array
from common.testing.minio import MinioServer
from services.trainer.domain.job import Job
from services.trainer.domain.sampling import global_batch
from services.trainer.worker.course import Course
from services.trainer.worker.state import Snapshot, StagePlace, read_state
from tests.support.training import Array, Desk, split_parts
from tests.support.world import Ending, World

pytestmark = pytest.mark.slow


class Worlds:
    """A desk whose worlds are processes of their own."""

    def __init__(self, desk: Desk, environment: dict[str, str]) -> None:
        self.desk = desk
        self._environment = environment

    def world(self, job: Job, size: int = 2, kill_at: int = 0) -> World:
        """Returns a world of the job's run."""
        return World(job.key, str(self.desk.context(job).commit_dir), size, kill_at)

    def run(self, *worlds: World) -> list[Ending]:
        """Runs worlds one after the other."""
        plan = json.dumps([asdict(world) for world in worlds])
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.world", plan],
            env=self._environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        return [Ending(**entry) for entry in json.loads(done.stdout.splitlines()[-1])]

    def comparison(self, ending: Ending) -> trainer_pb2.OutlierComparison:
        """Returns what all workers say of the uses of an outlier scan; they have to agree."""
        said = [reports[-1]["finished"] for reports in ending.reports]
        assert all(each == said[0] for each in said)
        finished = json_format.Parse(json.dumps(said[0]), agents_pb2.TrainingFinished())
        return finished.outlier_comparison

    def history(self, job: Job) -> np.ndarray:
        """Returns the metrics of every epoch, throughput aside."""
        content = (self.desk.context(job).commit_dir / "commit.safetensors").read_bytes()
        state = read_state(Snapshot.from_bytes(content))
        kept = [index for index, name in enumerate(state.names) if name != "rows_per_second"]
        return np.array(state.history)[:, kept]


@pytest.fixture
def worlds(tmp_path: Path, minio_server: MinioServer, minio_store: ObjectStore) -> Worlds:
    desk = Desk(tmp_path, minio_store)
    settings = minio_server.settings
    environment = os.environ | {
        "AIMASS_S3_ENDPOINT": settings.endpoint,
        "AIMASS_S3_ACCESS_KEY": settings.access_key,
        "AIMASS_S3_SECRET_KEY": settings.secret_key,
        "AIMASS_S3_BUCKET": settings.bucket,
        "AIMASS_CACHE_DIR": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    return Worlds(desk, environment)


def columns(rows: int) -> dict[str, Array]:
    features = np.random.default_rng(1).uniform(size=(rows, 10))
    target = features[:, 0] + 2 * features[:, 1] - features[:, 3] ** 3
    named = {f"x{index}": features[:, index] for index in range(10)}
    return {**named, "w": np.random.default_rng(2).uniform(0, 2, rows), "y": target}


SPEC = {
    "weight_column": "w",
    "network": {"mlp": {"hidden_widths": [32, 16], "batch_norm": True}},
    "optimizer": {"learning_rate": 0.01},
    "schedule": {"warmup": {"epochs": 2.0}, "reduce_on_plateau": {}},
    "workers": {"min": 2},
    "batch_size": 29,
    "epochs": 8,
    "commit_steps": 3,
}


def test_two_workers_train_as_one_and_resume_as_if_nothing_had_happened(worlds: Worlds) -> None:
    """Protects the core: uneven slices and weights averaged exactly, and the resumed curve.

    Two workers differ from one only in what batch norm sees of a batch, so that is left out of
    that comparison.
    """
    data = worlds.desk.dataset(columns(203), split_parts(203), "y", Task.REGRESSION)
    plain = {**SPEC, "network": {"mlp": {"hidden_widths": [32, 16]}}}
    alone = worlds.desk.job(data, plain, run="alone")
    together = worlds.desk.job(data, plain, run="together")
    undisturbed = worlds.desk.job(data, SPEC, run="undisturbed")
    disturbed = worlds.desk.job(data, SPEC, run="disturbed")
    endings = worlds.run(
        worlds.world(alone, size=1),
        worlds.world(together),
        worlds.world(undisturbed),
        worlds.world(disturbed, kill_at=8),
        worlds.world(disturbed, kill_at=25),
        worlds.world(disturbed),
    )
    assert [ending.exit_codes for ending in endings] == [
        [0], [0, 0], [0, 0], [-9, -9], [-9, -9], [0, 0],
    ]  # fmt: skip
    # Sums are rounded in another order, and later epochs enlarge the difference.
    one, two = worlds.history(alone), worlds.history(together)
    np.testing.assert_allclose(two[0], one[0], rtol=1e-5)
    np.testing.assert_allclose(two, one, rtol=1e-2)
    assert "from step 0" in str(endings[3].reports)
    assert "from step 0" not in str(endings[4].reports) + str(endings[5].reports)
    expected = worlds.history(undisturbed)
    assert len(expected) == 8
    np.testing.assert_allclose(worlds.history(disturbed), expected, rtol=1e-5)
    finished = [reports[-1]["finished"] for reports in endings[2].reports]
    assert finished[0] == finished[1]


def test_workers_end_together_when_their_time_is_over(worlds: Worlds) -> None:
    """Each sees another clock: rank 0's counts, also after a kill."""
    data = worlds.desk.dataset(columns(203), split_parts(203), "y", Task.REGRESSION)
    job = worlds.desk.job(data, {**SPEC, "epochs": 100_000, "max_duration": 2.0})
    killed, ended = worlds.run(worlds.world(job, kill_at=25), worlds.world(job))
    assert [killed.exit_codes, ended.exit_codes] == [[-9, -9], [0, 0]]
    finished = [reports[-1]["finished"] for reports in ended.reports]
    assert finished[0] == finished[1]
    assert "'stoppedEarly': True" in str(finished[0])
    assert 4 <= len(worlds.history(job)) < 100_000


def test_the_number_of_workers_may_change_in_the_middle(worlds: Worlds) -> None:
    """Protects elasticity: three workers, then one, then two train what one alone does."""
    data = worlds.desk.dataset(columns(101), split_parts(101), "y", Task.REGRESSION)
    plain = {**SPEC, "network": {"linear": {}}, "epochs": 6}
    alone = worlds.desk.job(data, plain, run="constant")
    changing = worlds.desk.job(data, plain, run="changing")
    endings = worlds.run(
        worlds.world(alone, size=1),
        worlds.world(changing, size=3, kill_at=5),
        worlds.world(changing, size=1, kill_at=10),
        worlds.world(changing, size=2),
    )
    assert endings[-1].exit_codes == [0, 0]
    np.testing.assert_allclose(worlds.history(changing), worlds.history(alone), rtol=2e-4)


def test_texts_train_the_same_in_worlds_of_any_size(worlds: Worlds) -> None:
    """Protects what padding must not change: each worker's rows are as long as its longest."""
    desk, generator = worlds.desk, np.random.default_rng(0)
    is_warm = generator.random(203) < 0.5
    words = np.where(is_warm, "warm and sunny ", "cold ")
    notes = [str(each) * int(generator.integers(1, 9)) for each in words]
    label = np.where(is_warm, "up", "down").astype(object)
    data = desk.dataset({"note": text_array(notes), "label": label}, split_parts(203), "label")
    network = {"text_transformer": {"width": 16, "dropout": 0, "blocks": [{}]}}
    plain = {**SPEC, "weight_column": "", "network": network, "epochs": 4}
    alone, changing = desk.job(data, plain, run="alone"), desk.job(data, plain, run="changing")
    endings = worlds.run(
        worlds.world(alone, size=1),
        worlds.world(changing, size=2, kill_at=7),
        worlds.world(changing, size=1, kill_at=13),
        worlds.world(changing, size=2),
    )
    assert endings[-1].exit_codes == [0, 0]
    one, other = worlds.history(alone), worlds.history(changing)
    np.testing.assert_allclose(other, one, rtol=1e-2, atol=1e-3)


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
    alone, changing = (
        desk.job(data, spec, run=run, parent=teacher, teacher=teacher) for run in ("one", "more")
    )
    endings = worlds.run(
        worlds.world(alone, size=1),
        worlds.world(changing, size=3, kill_at=5),
        worlds.world(changing, size=1, kill_at=10),
        worlds.world(changing, size=2),
    )
    assert [ending.exit_codes for ending in endings] == [[0], [-9] * 3, [-9], [0, 0]]
    np.testing.assert_allclose(worlds.history(changing), worlds.history(alone), rtol=2e-3)
    made = [desk.package(each) for each in (alone, changing)]
    one, more = (safetensors.torch.load(read_part(each, "weights", desk.store)) for each in made)
    for name, each in one.items():
        torch.testing.assert_close(more[name], each, rtol=1e-2, atol=1e-4)
    norms = one["layers.0.weight"].norm(dim=1)
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


def test_augmented_rows_survive_changes_of_the_world(worlds: Worlds) -> None:
    """Protects augmentation: rows, and partners of other workers, are what one alone makes them."""
    desk = worlds.desk
    generator = np.random.default_rng(4)
    labels = np.array(["dark", "light"], object)
    codes = generator.integers(0, 2, 151)
    pictures = generator.integers(0, 150, (151, 3, 12, 12)) + 100 * codes[:, None, None, None]
    table = {"w": columns(151)["w"], "picture": pictures.astype(np.uint8), "y": labels[codes]}
    data = desk.dataset(table, split_parts(151), "y")
    kinds = ("flip", "crop", "affine", "color", "erasing", "rand_augment", "mixup", "cut_mix")
    spec = {
        **SPEC,
        "network": {"cnn": {"blocks": [{"channels": 4}], "batch_norm": False}},
        "optimizer": {"learning_rate": 0.002, "accumulation_steps": 2},
        "schedule": {},
        "precision": "fp32",
        "augmentation": {"policies": [{"probability": 0.7, kind: {}} for kind in kinds]},
        "epochs": 4,
    }
    alone, changing = (desk.job(data, spec, run=run) for run in ("one", "more"))
    endings = worlds.run(
        worlds.world(alone, size=1),
        worlds.world(changing, size=3, kill_at=5),
        worlds.world(changing, size=1, kill_at=11),
        worlds.world(changing, size=2),
    )
    assert [ending.exit_codes for ending in endings] == [[0], [-9] * 3, [-9], [0, 0]]
    assert "from step 0" not in str(endings[2].reports) + str(endings[3].reports)
    np.testing.assert_allclose(worlds.history(changing), worlds.history(alone), rtol=2e-3)
    made = [desk.package(each) for each in (alone, changing)]
    one, more = (safetensors.torch.load(read_part(each, "weights", desk.store)) for each in made)
    for name, each in one.items():
        torch.testing.assert_close(more[name], each, rtol=1e-2, atol=1e-4)


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


def test_several_labels_survive_changes_of_the_world(worlds: Worlds) -> None:
    """Protects labels: sums of each are added up over one, three and two workers alike."""
    desk = worlds.desk
    table = columns(151)
    values = table.pop("y").astype(np.float64)
    labels = {"large": values > 1.8, "small": values < 1.0}
    data = desk.labelled({**table, **labels}, split_parts(151), tuple(labels))
    spec = {
        **SPEC,
        "network": {"mlp": {"hidden_widths": [16]}},
        "loss": {"class_weighting": "balanced"},
        "epochs": 6,
    }
    assert_the_world_does_not_matter(worlds, data, spec)


def test_forecasts_survive_changes_of_the_world(worlds: Worlds) -> None:
    """Protects windows: one, three and two workers see the same ones in each step."""
    hours = 120
    step = np.arange(hours)
    noise = np.random.default_rng(4).normal(size=2 * hours)
    table = {
        "time": np.tile(np.datetime64("2024-01-01", "us") + step * np.timedelta64(1, "h"), 2),
        "shop": np.repeat(np.array(["a", "b"], object), hours),
        "y": np.concatenate([np.sin(step / 4), 50 * np.cos(step / 4)]) + 0.1 * noise,
    }
    shops = TimeSeries("time", "shop", (), "h", 2)
    data = worlds.desk.series(table, np.zeros(2 * hours, np.uint8), "y", shops)
    spec = {
        "forecast": {"horizon": 4, "window": 24},
        "network": {"tcn": {"channels": [4, 4]}},
        "workers": {"min": 2},
        "batch_size": 1_021,
        "epochs": 6,
        "commit_steps": 3,
    }
    assert_the_world_does_not_matter(worlds, data, spec)


def assert_the_world_does_not_matter(
    worlds: Worlds, data: dataset_pb2.DatasetVersion, spec: dict[str, object]
) -> None:
    """Trains with one worker, and with three, one and two; checks that the weights are the same."""
    desk = worlds.desk
    alone, changing = (desk.job(data, spec, run=run) for run in ("one", "more"))
    endings = worlds.run(
        worlds.world(alone, size=1),
        worlds.world(changing, size=3, kill_at=7),
        worlds.world(changing, size=1, kill_at=17),
        worlds.world(changing, size=2),
    )
    assert [ending.exit_codes for ending in endings] == [[0], [-9] * 3, [-9], [0, 0]]
    assert "from step 0" not in str(endings[2].reports) + str(endings[3].reports)
    np.testing.assert_allclose(worlds.history(changing), worlds.history(alone), rtol=2e-3)
    made = [desk.package(each) for each in (alone, changing)]
    one, more = (safetensors.torch.load(read_part(each, "weights", desk.store)) for each in made)
    for name, each in one.items():
        torch.testing.assert_close(more[name], each, rtol=1e-2, atol=1e-4)


def test_compared_models_survive_changes_of_the_world(worlds: Worlds) -> None:
    """Protects the proof of outliers: two workers, one, two again compare what one alone does."""
    data = worlds.desk.dataset(columns(101), split_parts(101), "y", Task.REGRESSION)
    marked = np.random.default_rng(3).random(101) < 0.2
    scan = worlds.desk.scan(data, marked)
    outliers = {"scan": scan.name, "prove": {"folds": 3, "epochs": 2}}
    spec = {**SPEC, "network": {"linear": {}}, "epochs": 4, "outliers": outliers}
    alone = worlds.desk.job(data, spec, run="steady", scan=scan)
    changing = worlds.desk.job(data, spec, run="shaken", scan=scan)
    endings = worlds.run(
        worlds.world(alone, size=1),
        worlds.world(changing, size=2, kill_at=5),
        worlds.world(changing, size=1, kill_at=15),
        worlds.world(changing, size=2, kill_at=33),
        worlds.world(changing, size=2),
    )
    codes = [ending.exit_codes for ending in endings]
    assert codes == [[0], [-9, -9], [-9], [-9, -9], [0, 0]]
    assert not [ending for ending in endings[2:] if "from step 0" in str(ending.reports)]
    one, two = (worlds.comparison(endings[index]) for index in (0, 4))
    assert [result.use for result in one.results] == [result.use for result in two.results]
    assert one.adopted == two.adopted
    for result, other in zip(one.results, two.results, strict=True):
        np.testing.assert_allclose(other.scores, result.scores, rtol=1e-3)
    np.testing.assert_allclose(worlds.history(changing), worlds.history(alone), rtol=2e-4)


def test_every_worker_says_at_which_step_training_diverged(worlds: Worlds) -> None:
    """Protects the end of a run that cannot go on: all ranks agree on the step."""
    data = worlds.desk.dataset(columns(64), split_parts(64), "y", Task.REGRESSION)
    optimizer = {"kind": "sgd", "learning_rate": 100.0, "momentum": 0.99}
    spec = {"network": {"linear": {}}, "optimizer": optimizer, "epochs": 1000}
    job = worlds.desk.job(data, spec, run="diverging")
    (ending,) = worlds.run(worlds.world(job))
    assert ending.exit_codes == [4, 4]
    failures = [reports[-1]["failed"] for reports in ending.reports]
    assert failures[0] == failures[1]
    assert "DIVERGED" in str(failures[0]) and "step" in str(failures[0])
