"""A host without room for a single commit."""

from pathlib import Path

import numpy as np

from common.data.schema import Task
from services.trainer.worker.resume import saved_state
from services.trainer.worker.state import Snapshot, read_state
from tests.support.training import Desk, split_parts


def test_trained_state_goes_to_the_store_where_no_commit_can_be_written(tmp_path: Path) -> None:
    """Otherwise there would be no model of a training that is complete."""
    desk = Desk(tmp_path)
    values = np.random.default_rng(1).uniform(size=50)
    data = desk.dataset({"x": values, "y": 2 * values}, split_parts(50), "y", Task.REGRESSION)
    job = desk.job(data, {"network": {"linear": {}}, "epochs": 3})
    context = desk.context(job)
    (context.commit_dir / "commit.safetensors.new").mkdir()  # nothing can be written there
    outcome = desk.run(context)
    assert not (context.commit_dir / "commit.safetensors").exists()
    (checkpoint,) = [each.checkpoint for each in desk.reports if each.HasField("checkpoint")]
    assert checkpoint.commit.step == outcome.step
    builder = desk.context(job, task="package", checkpoint=checkpoint.key)
    state = read_state(Snapshot.from_bytes(saved_state(builder, desk.store)))
    assert len(state.history) == 3
