"""Trainings in worlds that are processes of their own, and what they are compared by."""

import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import safetensors.torch
import torch
from google.protobuf import json_format

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.models.store import read_part
from services.trainer.domain.job import Job
from services.trainer.worker.state import Snapshot, read_state
from tests.support.training import Array, Desk
from tests.support.world import Ending, World


def columns(rows: int) -> dict[str, Array]:
    features = np.random.default_rng(1).uniform(size=(rows, 10))
    target = features[:, 0] + 2 * features[:, 1] - features[:, 3] ** 3
    named = {f"x{index}": features[:, index] for index in range(10)}
    return {**named, "w": np.random.default_rng(2).uniform(0, 2, rows), "y": target}


SPEC: dict[str, object] = {
    "weight_column": "w",
    "network": {"mlp": {"hidden_widths": [32, 16], "batch_norm": True}},
    "optimizer": {"learning_rate": 0.01},
    "schedule": {"warmup": {"epochs": 2.0}, "reduce_on_plateau": {}},
    "workers": {"min": 2},
    "batch_size": 29,
    "epochs": 8,
    "commit_steps": 3,
}


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


def assert_the_world_does_not_matter(
    worlds: Worlds,
    data: dataset_pb2.DatasetVersion,
    spec: dict[str, object],
    kills: tuple[int, int] = (7, 17),
    origin: model_pb2.ModelVersion | None = None,
) -> dict[str, torch.Tensor]:
    """Trains with one worker, and with three, one and two; checks that the weights are the same.

    Args:
        worlds: Where.
        data: To train on.
        spec: What to train.
        kills: Steps at which the first two of the changing worlds are killed.
        origin: Parent and teacher; none by default.

    Returns:
        The weights, by name.
    """
    desk = worlds.desk
    alone, changing = (
        desk.job(data, spec, run=run, parent=origin, teacher=origin) for run in ("one", "more")
    )
    endings = worlds.run(
        worlds.world(alone, size=1),
        worlds.world(changing, size=3, kill_at=kills[0]),
        worlds.world(changing, size=1, kill_at=kills[1]),
        worlds.world(changing, size=2),
    )
    assert [ending.exit_codes for ending in endings] == [[0], [-9] * 3, [-9], [0, 0]]
    assert "from step 0" not in str(endings[2].reports) + str(endings[3].reports)
    np.testing.assert_allclose(worlds.history(changing), worlds.history(alone), rtol=2e-3)
    made = [desk.package(each) for each in (alone, changing)]
    one, more = (safetensors.torch.load(read_part(each, "weights", desk.store)) for each in made)
    for name, each in one.items():
        torch.testing.assert_close(more[name], each, rtol=1e-2, atol=1e-4)
    return one
