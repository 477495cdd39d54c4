"""Trainings on real Horovod worlds of forked workers, with data and jobs in a real MinIO."""

import numpy as np
import pytest

from common.data.schema import Task
from tests.support.training import split_parts
from tests.support.worlds import SPEC, Worlds, columns

pytestmark = pytest.mark.slow


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
    job = worlds.desk.job(data, {**SPEC, "epochs": 100_000, "max_duration": 3.0})
    killed, ended = worlds.run(worlds.world(job, kill_at=8), worlds.world(job))
    assert [killed.exit_codes, ended.exit_codes] == [[-9, -9], [0, 0]]
    finished = [reports[-1]["finished"] for reports in ended.reports]
    assert finished[0] == finished[1]
    assert "'stoppedEarly': True" in str(finished[0])
    assert 2 <= len(worlds.history(job)) < 100_000


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
