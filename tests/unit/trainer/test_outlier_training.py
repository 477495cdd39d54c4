"""Trainings with the marks of an outlier scan, in a world of one, in this process."""

import dataclasses
import gc
import weakref
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from aimass.catalog.v1 import dataset_pb2
from common.data.marks import WEIGHT_FLOOR
from common.data.scans import Scan
from common.data.schema import Task
from common.errors import DataLossError, InvalidFieldError
from services.trainer.domain.job import Job
from services.trainer.domain.outliers.marks import Marks
from services.trainer.worker.commits import read_commit
from services.trainer.worker.course import Course, Stage
from services.trainer.worker.data import Examples
from services.trainer.worker.loop import Outcome
from services.trainer.worker.process import ProgressBoard
from services.trainer.worker.state import StagePlace
from tests.support.training import Array, Desk, split_parts

pytestmark = pytest.mark.slow

ROWS = 120
OUTLIERS = {"scan": "outlierScans/sample"}
SPEC = {"network": {"mlp": {"hidden_widths": [8]}}, "batch_size": 16, "epochs": 3}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def table(rows: int = ROWS) -> dict[str, Array]:
    generator = np.random.default_rng(4)
    features = generator.normal(size=(rows, 4))
    named: dict[str, Array] = {f"x{index}": features[:, index] for index in range(4)}
    weight = generator.uniform(0.5, 2, rows).astype(np.float32).astype(np.float64)
    return {**named, "w": weight, "y": features @ np.arange(4.0) + generator.normal(size=rows)}


def far_out(columns: dict[str, Array], marked: npt.NDArray[np.bool_]) -> dict[str, Array]:
    """Makes marked rows so odd that they would spoil every statistic."""
    return {**columns, "x0": np.where(marked, 1e4, columns["x0"])}


def some_marks(rows: int = ROWS) -> npt.NDArray[np.bool_]:
    """One row in eight, in every part of the split."""
    marked: npt.NDArray[np.bool_] = np.random.default_rng(5).random(rows) < 0.125
    return marked


def stored(
    desk: Desk, columns: dict[str, Array], parts: npt.NDArray[np.uint8]
) -> dataset_pb2.DatasetVersion:
    return desk.dataset(columns, parts, "y", Task.REGRESSION)


def test_dropping_is_the_same_as_training_without_the_rows(desk: Desk) -> None:
    """Protects DROP: preprocessing, batches, steps, weights of rows and metrics are the same."""
    parts, marked = split_parts(ROWS), some_marks()
    columns = far_out(table(), marked & (parts == 0))
    spec = {**SPEC, "weight_column": "w"}
    data = stored(desk, columns, parts)
    outliers = {**OUTLIERS, "use": "drop"}
    scan = desk.scan(data, marked)
    dropped = desk.job(data, {**spec, "outliers": outliers}, run="drop", scan=scan)
    left = ~marked | (parts != 0)
    without = stored(desk, {name: values[left] for name, values in columns.items()}, parts[left])
    expected = desk.train(desk.job(without, spec, run="without"))
    assert desk.train(dropped) == expected


def test_validation_and_test_rows_count_whatever_their_marks(desk: Desk) -> None:
    """Protects the measures: marks there change nothing, for no use."""
    parts = split_parts(ROWS, test=0.2)
    data = stored(desk, table(), parts)
    expected = desk.train(desk.job(data, SPEC, run="plain"))
    for use in ("keep", "drop", "down_weight"):
        spec = {**SPEC, "outliers": {**OUTLIERS, "use": use}}
        job = desk.job(data, spec, run=use.replace("_", "-"), scan=desk.scan(data, parts != 0))
        assert desk.train(job) == expected


def test_down_weights_multiply_with_those_of_the_column(desk: Desk) -> None:
    """Protects DOWN_WEIGHT: it is a column of weights, times the one that is there."""
    parts = split_parts(ROWS, validation=0)
    probability = np.random.default_rng(6).random(ROWS).astype(np.float32)
    columns = table()
    data = stored(desk, columns, parts)
    spec = {**SPEC, "weight_column": "w", "outliers": {**OUTLIERS, "use": "down_weight"}}
    scan = desk.scan(data, probability > 0.5, probability)
    found = desk.train(desk.job(data, spec, run="scan", scan=scan))
    factors = np.maximum(1 - probability, np.float32(WEIGHT_FLOOR))
    product = columns["w"].astype(np.float32) * factors
    other = stored(desk, {**columns, "w": product.astype(np.float64)}, parts)
    expected = desk.train(desk.job(other, {**SPEC, "weight_column": "w"}, run="column"))
    assert found.metrics == pytest.approx(expected.metrics, rel=1e-5)


def test_scores_of_other_rows_are_refused(desk: Desk) -> None:
    """Protects from marks that belong to other rows, or are none."""
    data = stored(desk, table(), split_parts(ROWS))
    spec = {**SPEC, "outliers": OUTLIERS}
    with pytest.raises(DataLossError, match="119 rows and the data have 120"):
        desk.job(data, spec, scan=desk.scan(data, some_marks(ROWS - 1)))
    wrong = desk.scan(data, some_marks(), np.full(ROWS, 1.5))
    with pytest.raises(DataLossError, match="not between 0 and 1"):
        desk.job(data, spec, scan=wrong)


def test_marks_that_leave_nothing_to_learn_are_refused(desk: Desk) -> None:
    """Protects from a training on no row, or on one class."""
    spec = {**SPEC, "outliers": {**OUTLIERS, "use": "drop"}}
    data = stored(desk, table(), split_parts(ROWS))
    job = desk.job(data, spec, scan=desk.scan(data, np.ones(ROWS, np.bool_)))
    with pytest.raises(InvalidFieldError, match="marks every training row"):
        desk.train(job)
    labels = np.array(["a", "b"] * (ROWS // 2), object)
    classes = desk.dataset({**table(), "y": labels}, split_parts(ROWS), "y")
    marked = desk.scan(classes, labels == "b")
    with pytest.raises(InvalidFieldError, match="set `use` to DOWN_WEIGHT") as caught:
        desk.job(classes, spec, scan=marked)
    with pytest.raises(InvalidFieldError, match="Without a fold and the rows"):
        desk.job(classes, {**SPEC, **PROOF}, scan=marked)
    assert caught.value.violations[0].field == "training_run.spec.outliers"


PROVED = {
    **SPEC,
    "network": {"mlp": {"hidden_widths": [8], "dropout": 0.1, "batch_norm": True}},
    "optimizer": {"learning_rate": 0.03},
    "early_stopping": {"patience": 0},
    "commit_steps": 2,
    "outliers": {**OUTLIERS, "prove": {"folds": 3, "epochs": 2}},
}


def proved_job(desk: Desk, run: str) -> Job:
    parts, marked = split_parts(ROWS), some_marks()
    data = stored(desk, far_out(table(), marked), parts)
    return desk.job(data, PROVED, run=run, scan=desk.scan(data, marked))


class _KilledError(Exception):
    pass


class _DeadlyBoard(ProgressBoard):
    """Ends the training right after so many steps, as SIGKILL does."""

    steps_left = 0

    def finish_step(self, step: int) -> None:
        super().finish_step(step)
        self.steps_left -= 1
        if self.steps_left == 0:
            raise _KilledError


def test_a_proof_goes_on_as_if_nothing_had_happened(desk: Desk) -> None:
    """Protects elasticity: killed every 13 steps, the same is compared, adopted and trained."""
    expected = desk.train(proved_job(desk, "undisturbed"))
    job = proved_job(desk, "disturbed")
    newest, deaths = -1, 0
    while True:
        board = _DeadlyBoard(ProgressBoard.create(1), 1)
        board.steps_left = 13
        try:
            outcome = desk.run(dataclasses.replace(desk.context(job), progress=board))
            break
        except _KilledError:
            deaths += 1
        commit = read_commit(desk.context(job).commit_dir)
        assert commit is not None and commit.step > newest, "every life gets further"
        newest = commit.step
    assert deaths > 5
    assert outcome.comparison is not None and expected.comparison is not None
    for found, other in zip(outcome.comparison.results, expected.comparison.results, strict=True):
        assert found.scores == pytest.approx(other.scores, rel=1e-5)
    assert outcome.comparison.adopted == expected.comparison.adopted
    assert outcome.metrics == pytest.approx(expected.metrics, rel=1e-5)
    assert outcome.step == expected.step


def test_a_proof_that_is_complete_is_not_done_again(desk: Desk) -> None:
    """Protects the end: a world after the last commit says the same and trains no further."""
    job = proved_job(desk, "proved")
    first = desk.train(job)
    commit = read_commit(desk.context(job).commit_dir)
    assert commit is not None and commit.step == first.step
    desk.reports.clear()
    assert desk.train(job) == first
    assert not [each for each in desk.reports if "held out" in each.log_line.text]


def test_one_stage_at_a_time_is_in_memory(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects workers that have just the memory for a training without a proof."""
    alive: weakref.WeakSet[Examples] = weakref.WeakSet()
    left = []
    make = Course.stage

    def stage(course: Course, place: StagePlace) -> Stage:
        gc.collect()
        left.append(len(alive))
        made = make(course, place)
        alive.add(made.rows)
        return made

    monkeypatch.setattr(Course, "stage", stage)
    desk.train(proved_job(desk, "proved"))
    assert left == [0] * 10


def test_groups_of_the_split_are_held_out_as_a_whole(desk: Desk) -> None:
    """Protects the proof on data split by groups: no model is scored on the like of its rows.

    The folds are uneven: steps must have room for the model that is trained on most rows.
    """
    groups = np.array([*("a" * 40), *("b" * 35), *("c" * 25), *("d" * 20)], object)
    columns = {**table(), "g": groups}
    data = stored(desk, columns, np.zeros(ROWS, np.uint8))
    data.split.method = dataset_pb2.SPLIT_METHOD_GROUPED
    data.split.column = "g"
    spec = {**SPEC, "features": ["x0", "x1"], "outliers": {**OUTLIERS, "prove": {"folds": 3}}}
    scan = desk.scan(data, some_marks())
    job = desk.job(data, spec, scan=scan)
    assert job.outliers is not None
    fold = Marks.from_bytes(desk.store.read(job.outliers.marks_key)[0]).fold
    assert [set(groups[fold == each]) for each in range(3)] == [{"a"}, {"b"}, {"c", "d"}]
    outcome = desk.train(job)
    assert outcome.comparison is not None
    assert outcome.step == 9 * 3 * 6 + 3 * 8, "85 of 120 rows take 6 steps an epoch, all take 8"
    five = {**spec, "outliers": {**OUTLIERS, "prove": {"folds": 5}}}
    with pytest.raises(InvalidFieldError, match="groups of `g` are too few or too uneven for 5"):
        desk.job(data, five, scan=scan)


def test_compared_models_report_no_metrics(desk: Desk) -> None:
    """Protects the loss curve that people look at: it is the model's alone."""
    desk.train(proved_job(desk, "proved"))
    epochs = [each.metrics.epoch for each in desk.reports if each.HasField("metrics")]
    assert epochs == sorted(set(epochs)) and epochs[0] == 1


def test_held_out_scores_are_those_of_a_run_on_the_other_folds(desk: Desk) -> None:
    """Protects the comparison from shortcuts: a score is that of a training of its own.

    The fold is put in the place of the test rows of a data set of its own, and the run's test
    metric is the score.
    """
    job = proved_job(desk, "proved")
    outcome = desk.train(job)
    assert outcome.comparison is not None and job.outliers is not None
    marks = Marks.from_bytes(desk.store.read(job.outliers.marks_key)[0])
    parts, marked = split_parts(ROWS), some_marks()
    parts[marks.fold == 1] = 2
    data = stored(desk, far_out(table(), marked), parts)
    spec = {**PROVED, "epochs": 2, "seed": 2, "outliers": {**OUTLIERS, "use": "drop"}}
    alone = desk.job(data, spec, run="alone", scan=desk.scan(data, marked))
    desk.train(alone)
    drop = outcome.comparison.results[1]
    assert drop.use == "drop"
    assert drop.scores[1] == pytest.approx(desk.package(alone).metrics["test/loss"], rel=1e-5)


def noisy_labels(desk: Desk, noise: float) -> tuple[dataset_pb2.DatasetVersion, Scan]:
    """Two classes of 40 numbers, some training labels wrong; a scan that marks a quarter of them.

    With noise it marks those that are wrong, without it rows that are as good as any.
    """
    generator, rows = np.random.default_rng(2), 600
    label = generator.integers(0, 2, rows)
    centres = generator.normal(size=(2, 40)) * 0.45
    features = centres[label] + generator.normal(size=(rows, 40))
    parts = split_parts(rows, validation=0, test=0.3)
    marked = (generator.random(rows) < 0.25) & (parts == 0)
    wrong = marked & (generator.random(rows) < noise)
    columns: dict[str, Array] = {f"x{index}": features[:, index] for index in range(40)}
    columns["y"] = np.array([str(value) for value in np.where(wrong, 1 - label, label)], object)
    data = desk.dataset(columns, parts, "y")
    return data, desk.scan(data, marked, np.where(marked, 0.95, 0.02))


NOISY = {
    "network": {"mlp": {"hidden_widths": [64]}},
    "optimizer": {"learning_rate": 0.01},
    "epochs": 20,
    "batch_size": 64,
    "monitor": "accuracy",
}
PROOF = {"outliers": {**OUTLIERS, "prove": {}}}


def adopted(outcome: Outcome) -> str:
    assert outcome.comparison is not None
    return outcome.comparison.adopted


def test_wrong_labels_are_left_out_and_that_helps(desk: Desk) -> None:
    """Protects the claim: weights are adopted where they help, on rows that nobody marked too."""
    data, scan = noisy_labels(desk, noise=1.0)
    proved = desk.job(data, {**NOISY, **PROOF}, run="proved", scan=scan)
    kept = desk.job(data, NOISY, run="kept")
    assert adopted(desk.train(proved)) in ("drop", "down_weight")
    desk.train(kept)
    package = desk.package(proved)
    gain = package.metrics["test/accuracy"] - desk.package(kept).metrics["test/accuracy"]
    assert gain > 0.1
    assert "outlierScans/sample" in package.lineage.inputs


def test_good_rows_are_not_given_away(desk: Desk) -> None:
    """Protects the claim's other half: marks on good rows are not adopted."""
    data, scan = noisy_labels(desk, noise=0.0)
    proved = desk.train(desk.job(data, {**NOISY, **PROOF}, run="proved", scan=scan))
    plain = desk.train(desk.job(data, NOISY, run="plain"))
    assert adopted(proved) == "keep"
    assert proved.metrics == plain.metrics
