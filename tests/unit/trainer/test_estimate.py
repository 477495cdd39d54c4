"""What is foretold of a run, and what is learned from how wrong that was."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import duration_pb2

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import network_pb2
from common.data.schema import SplitCounts, Task
from common.networks.specification import NetworkInput
from services.trainer.domain.augmentation.cost import augmentation_seconds
from services.trainer.domain.augmentation.policies import KINDS
from services.trainer.domain.augmentation.specification import Augmentation
from services.trainer.domain.calibration import calibration
from services.trainer.domain.estimate import estimate, evaluation_rows
from services.trainer.domain.resolution import example_counts
from tests.support.training import Desk, split_parts
from tests.unit.trainer.test_precision import trainee_of
from tests.unit.trainer.test_resolution import DATA, SCHEMA, TABLE, resolve

MLP = network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork())
CNN = network_pb2.NetworkSpec(cnn=network_pb2.CnnNetwork())


def spec(network: network_pb2.NetworkSpec, workers: int = 1) -> trainer_pb2.TrainingSpec:
    return trainer_pb2.TrainingSpec(
        network=network, workers=trainer_pb2.WorkerRange(wanted=workers)
    )


def ended(
    wanted: trainer_pb2.TrainingSpec, error: float, used: float = 0.0, seconds: int = 10
) -> trainer_pb2.TrainingRun:
    """A run whose duration was foretold with this error, after this calibration."""
    return trainer_pb2.TrainingRun(
        spec=wanted,
        estimate=trainer_pb2.Estimate(calibration=used),
        performance=trainer_pb2.TrainingPerformance(
            training_duration=duration_pb2.Duration(seconds=seconds),
            estimate_error=trainer_pb2.EstimateError(duration=error),
        ),
    )


def test_the_next_estimate_is_right_where_the_last_was_wrong() -> None:
    """Protects the correction, and that it does not pile up: an earlier one is taken out first."""
    assert calibration(spec(MLP), []) == 1
    # Twice as long as was foretold.
    assert calibration(spec(MLP), [ended(spec(MLP), -0.5)]) == pytest.approx(2)
    # Right, with twice the time.
    assert calibration(spec(MLP), [ended(spec(MLP), 0.0, used=2.0)]) == pytest.approx(2)


def test_runs_that_are_alike_say_more_than_others() -> None:
    """Protects from mixing: two workers on one core and one alone, networks of all kinds."""
    runs = [ended(spec(CNN), -0.5), ended(spec(MLP), 0.0), ended(spec(MLP, workers=2), -0.75)]
    assert calibration(spec(MLP, workers=2), runs) == pytest.approx(4)
    assert calibration(spec(CNN, workers=2), runs) == pytest.approx(2), "the median of all"


def test_one_odd_run_among_many_and_short_ones_are_left_out() -> None:
    """Protects from a machine that was busy once, and from runs too short to tell."""
    runs = [ended(spec(MLP), -0.99), *[ended(spec(MLP), 0.0)] * 4]
    assert calibration(spec(MLP), runs) == pytest.approx(1)
    assert calibration(spec(MLP), [ended(spec(MLP), -0.9, seconds=1)]) == 1


def test_a_calibrated_estimate_is_so_many_times_as_long() -> None:
    """Protects the factor, which the record keeps for later runs."""
    counts = SplitCounts(train=1000, validation=100)
    plain, slow = (estimate(resolve(TABLE), counts, calibration=factor) for factor in (1.0, 3.0))
    assert slow.seconds == pytest.approx(3 * plain.seconds)
    assert (plain.calibration, slow.calibration) == (1.0, 3.0)
    assert slow.worker_memory_bytes == plain.worker_memory_bytes


def test_the_estimate_counts_steps_and_grows_with_the_work() -> None:
    """Protects `validate_only`: steps are exact, time and memory grow with the network."""
    small = estimate(resolve({**TABLE, "batch_size": 30}), DATA.counts)
    large = estimate(
        resolve({**TABLE, "batch_size": 30, "network": {"mlp": {"hidden_widths": [4096, 4096]}}}),
        DATA.counts,
    )
    assert small.steps == 100 * 4
    assert (small.slots, large.slots) == (1, 1)
    assert large.seconds > 2 * small.seconds > 0
    assert large.worker_memory_bytes > small.worker_memory_bytes + 4 * 4096**2


def test_validation_takes_fewer_rows_at_once_where_each_needs_much_memory() -> None:
    """Protects a worker's memory: 1,000 photos in a residual network would need several GB."""
    shape = (3, 224, 224)
    columns = tuple(
        replace(column, shape=shape) if column.name == "photo" else column
        for column in SCHEMA.columns
    )
    large = replace(DATA, schema=replace(SCHEMA, columns=columns))
    spec = {"features": ["photo"], "network": {"resnet": {}}}
    assert evaluation_rows(resolve(TABLE)) == 1024
    assert evaluation_rows(resolve({"features": ["photo"]})) == 1024
    assert 1 < evaluation_rows(resolve(spec, large)) < 32


def test_the_estimate_of_forecasts_counts_windows() -> None:
    """Protects the predicted time: an epoch of a short series has more windows than rows."""
    data = replace(DATA, schema=replace(SCHEMA, task=Task.FORECASTING, target="weight"))
    resolved = resolve({"forecast": {"horizon": 4, "window": 10}, "epochs": 2}, data)
    counts = example_counts(resolved, data)
    assert (counts.train, counts.validation) == (4_176, 17)
    assert estimate(resolved, counts).steps == 2 * 33


def test_changing_rows_takes_its_time() -> None:
    """Protects the estimate of augmented runs: more for more policies, rows and numbers."""

    def seconds(*policies: dict[str, object], **more: object) -> float:
        augmentation = {"policies": list(policies)}
        spec = {"features": ["photo"], "precision": "fp32", "augmentation": augmentation, **more}
        return estimate(resolve(spec), DATA.counts).seconds

    plain, noisy = seconds(), seconds({"erasing": {}})
    assert plain < noisy < seconds({"erasing": {}}, {"color": {}})
    assert noisy < seconds({"erasing": {}}, {"mixup": {}}), "partners are changed as well"
    rare = seconds({"rand_augment": {}, "probability": 0.1})
    assert plain < rare < seconds({"rand_augment": {}, "probability": 1.0})


@pytest.mark.parametrize("kind", KINDS)
def test_every_policy_has_a_price(kind: str) -> None:
    """Protects from a policy that the estimate does not know."""
    settings = {"words": {"a": {"words": ["b"]}}} if kind == "synonyms" else {}
    augmentation = Augmentation.model_validate({"policies": [{kind: settings}]})
    image = NetworkInput(image_shape=(3, 32, 32))
    few, many = (augmentation_seconds(augmentation, image, rows) for rows in (1, 1_000))
    assert 0 < few < many
    assert augmentation_seconds(None, image, 1_000) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("widths", "rows"), [([256, 128], 64), ([512, 512, 512], 200), ([1024, 512], 256)]
)
def test_a_step_takes_about_what_is_foretold(tmp_path: Path, widths: list[int], rows: int) -> None:
    """Protects the rates from drifting away, within a factor of 3 whatever the machine."""
    desk = Desk(tmp_path)
    generator = np.random.default_rng(0)
    columns = {f"x{index}": generator.normal(size=2000) for index in range(100)}
    data = desk.dataset(
        {**columns, "y": columns["x0"]}, split_parts(2000, 0.0), "y", Task.REGRESSION
    )
    wanted = {"network": {"mlp": {"hidden_widths": widths}}, "batch_size": rows, "epochs": 1}
    job = desk.job(data, wanted)
    engine = trainee_of(desk, job).engine
    taken = []
    for number in range(30):
        begun = time.process_time()
        engine.step(number, 1e-3)
        taken.append(time.process_time() - begun)
    needs = estimate(job.specification, SplitCounts(2000, 0, 0))
    ratio = needs.seconds / needs.steps / float(np.median(taken[5:]))
    assert 1 / 3 < ratio < 3
