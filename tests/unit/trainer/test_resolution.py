from collections.abc import Mapping
from dataclasses import replace

import pytest

from aimass.trainer.v1 import trainer_pb2
from common.data.schema import (
    Column,
    ColumnType,
    KnownDataset,
    NumericStatistics,
    Schema,
    SplitCounts,
    Task,
)
from common.errors import InvalidInputError
from common.networks.specification import NetworkInput
from common.protobuf import from_plain
from services.trainer.domain.augmentation.policies import Crop
from services.trainer.domain.augmentation.specification import automatic_policies
from services.trainer.domain.origins import TrainedNetwork
from services.trainer.domain.resolution import resolve_against_data
from services.trainer.domain.specification import (
    TrainingSpecification,
    read_specification,
    write_specification,
)

STATISTICS = NumericStatistics(min=0, max=4, mean=1, stddev=1)


def numeric(name: str, **changes: object) -> Column:
    column = Column(name, ColumnType.NUMERIC, distinct_count=30, numeric=STATISTICS)
    return replace(column, **changes)  # type: ignore[arg-type]


SCHEMA = Schema(
    columns=(
        numeric("age"),
        numeric("weight"),
        numeric("negative", numeric=replace(STATISTICS, min=-1)),
        numeric("gaps", missing_count=3),
        Column("city", ColumnType.CATEGORICAL, categories=("a", "b", "c"), distinct_count=3),
        Column("flag", ColumnType.BOOLEAN, distinct_count=2),
        Column("constant", ColumnType.CATEGORICAL, categories=("x",), distinct_count=1),
        Column("note", ColumnType.TEXT),
        Column("day", ColumnType.TIMESTAMP),
        Column("vector", ColumnType.EMBEDDING, shape=(16,)),
        Column("photo", ColumnType.IMAGE, shape=(1, 28, 28)),
        Column("label", ColumnType.CATEGORICAL, categories=("n", "y"), distinct_count=2),
        numeric("id", distinct_count=5_000),
    ),
    task=Task.CLASSIFICATION,
    target="label",
)
DATA = KnownDataset("datasets/d/versions/3", SCHEMA, SplitCounts(train=100, validation=20))
TABLE = {"features": ["age", "city", "flag"]}
VALUES = {"features": ["city"], "target": "age"}
COSTS = {"cost_matrix": {"rows": [{"truth": "n", "costs": {"y": 1.0}}, {"truth": "y"}]}}
FILE = {"uri": "s3://b/runs/x/weights", "sha256": "0" * 64, "size_bytes": 9}
NAMES = {"dataset_version": "datasets/d/versions/latest", "model": "models/m"}


def resolve(
    spec: Mapping[str, object],
    data: KnownDataset = DATA,
    parent: TrainedNetwork | None = None,
    teacher: TrainedNetwork | None = None,
) -> TrainingSpecification:
    message = from_plain({**NAMES, **spec}, trainer_pb2.TrainingSpec)
    return resolve_against_data(read_specification(message), data, parent, teacher)


def test_defaults_are_filled_in_from_the_data() -> None:
    """Protects what a user gets who names data, model and features only."""
    resolved = resolve(TABLE)
    assert resolved.dataset_version == "datasets/d/versions/3"
    assert (resolved.target, resolved.task) == ("label", "classification")
    assert resolved.network is not None and resolved.network.mlp is not None
    assert resolved.network.input.numeric_columns == 1
    assert resolved.network.input.category_sizes == (4, 3)
    assert resolved.network.outputs == 2
    assert resolved.optimizer.learning_rate == 0.001
    assert (resolved.workers.min, resolved.workers.wanted, resolved.workers.max) == (1, 1, 1)
    assert (resolved.epochs, resolved.batch_size) == (100, 128)


def test_an_image_gets_a_cnn() -> None:
    """Protects the default network of images."""
    resolved = resolve({"features": ["photo"]})
    assert resolved.network is not None and resolved.network.kind == "cnn"


def test_defaults_depend_on_algorithm_and_network() -> None:
    """Protects the rates and decays that the contract states."""
    sgd = resolve({**TABLE, "optimizer": {"kind": "sgd"}}).optimizer
    assert (sgd.learning_rate, sgd.momentum, sgd.weight_decay) == (0.01, 0.9, 0)
    adamw = resolve({**TABLE, "optimizer": {"kind": "adamw"}}).optimizer
    assert (adamw.learning_rate, adamw.momentum, adamw.weight_decay) == (0.001, None, 0.01)
    assert (adamw.beta1, adamw.beta2, sgd.beta1) == (0.9, 0.999, None)
    assert resolve({**TABLE, "network": {"linear": {}}}).optimizer.learning_rate == 0.01


def test_reduce_on_plateau_comes_before_early_stopping() -> None:
    """Protects the schedule from never acting because the run ends first."""
    schedule: dict[str, object] = {"reduce_on_plateau": {}}
    alone = resolve({**TABLE, "schedule": schedule}).schedule.reduce_on_plateau
    assert alone is not None and alone.patience == 10
    spec = {**TABLE, "schedule": schedule, "early_stopping": {"patience": 5}}
    both = resolve(spec).schedule.reduce_on_plateau
    assert both is not None and both.patience == 2


def test_what_is_made_small_is_monitored_where_there_is_a_loss() -> None:
    """Protects the choice of the best epoch, and runs without a loss from any change."""
    assert resolve(TABLE).monitor == "loss"
    assert resolve({**TABLE, "loss": {"focal_gamma": 2.0}}).monitor == "objective"
    assert resolve({**TABLE, "loss": {"balanced_sampling": True}}).monitor == "objective"
    assert resolve({**TABLE, "loss": {"focal_gamma": 2.0}, "monitor": "loss"}).monitor == "loss"
    assert resolve({**TABLE, "loss": COSTS}).monitor == "objective"
    assert resolve({**TABLE, "loss": COSTS, "monitor": "mean_cost"}).monitor == "mean_cost"
    assert resolve({**TABLE, "monitor": "balanced_accuracy"}).monitor == "balanced_accuracy"
    for asked in ({}, {"regression": "squared"}):
        plain = resolve({**VALUES, "loss": asked})
        assert (plain.loss, plain.monitor) == (None, "loss"), "the plain loss, asked for or not"
    huber = resolve({**VALUES, "loss": {"regression": "huber"}}).loss
    assert huber is not None and huber.huber_delta == 1


def test_automatic_augmentation_goes_by_the_type_of_the_data() -> None:
    """Protects digits from being mirrored, and grey images from turns of colour."""
    grey, table = (
        resolve({**spec, "augmentation": {"auto": True}}).augmentation
        for spec in ({"features": ["photo"]}, TABLE)
    )
    assert grey is not None and table is not None
    assert [policy.kind for policy in grey.policies] == ["affine"]
    assert [policy.kind for policy in table.policies] == ["mixup"]
    colored = automatic_policies(NetworkInput(image_shape=(3, 32, 32)))
    assert [policy.kind for policy in colored] == ["affine", "color"]
    assert resolve({**TABLE, "augmentation": {}}).augmentation is None
    texts = automatic_policies(NetworkInput(text_length=16, vocabulary_size=300))
    assert [policy.kind for policy in texts] == ["character_noise"]
    windows = automatic_policies(NetworkInput(window=24))
    assert [policy.kind for policy in windows] == ["jitter"]
    labels_alone = {**TABLE, "features": ["city"], "augmentation": {"auto": True}}
    assert resolve(labels_alone).augmentation is None
    crop = resolve({"features": ["photo"], "augmentation": {"policies": [{"crop": {}}]}})
    assert crop.augmentation is not None
    assert crop.augmentation.policies[0].crop == Crop(padding=3)


@pytest.mark.parametrize(
    "spec",
    [
        TABLE,
        {"features": ["photo"], "network": {"cnn": {"head_widths": [0]}}},
        {"features": ["photo"], "network": {"resnet": {"depth": 34, "width": 8}}},
        {
            **TABLE,
            "target": "age",
            "features": ["city"],
            "network": {"linear": {"bias": False}},
            "early_stopping": {},
            "schedule": {"warmup": {"epochs": 2.5}, "reduce_on_plateau": {}},
            "optimizer": {"kind": "sgd", "clip_norm": 1.0},
            "workers": {"min": 2, "max": 4, "wait_timeout": 5.0},
            "commit_steps": 7,
        },
        {
            **TABLE,
            "monitor": "none",
            "schedule": {"cosine_decay": True},
            "growing_decay": {"strengths": FILE},
        },
        {**TABLE, "loss": {"class_weights": {"y": 3.0}, "class_weighting": "balanced"}},
        {**TABLE, "loss": COSTS},
        {**TABLE, "loss": {"balanced_sampling": True}},
        {**TABLE, "schedule": {"one_cycle": {"rise_share": 0.2}}, "optimizer": {"beta1": 0.0}},
        {**VALUES, "loss": {"regression": "huber"}},
        {**TABLE, "augmentation": {"auto": True}},
        {"features": ["photo"], "augmentation": {"auto": True, "border": "black"}},
        {**VALUES, "augmentation": {"policies": [{"category_dropout": {}}, {"mixup": {}}]}},
    ],
)
def test_a_resolved_specification_resolves_to_itself(spec: dict[str, object]) -> None:
    """Protects take-over: a later attempt reads the record and finds the same run."""
    resolved = resolve(spec)
    again = read_specification(write_specification(resolved))
    assert again == resolved
    assert resolve_against_data(again, DATA) == resolved


def test_other_targets_are_no_features_unless_listed() -> None:
    """Protects a model from learning one outcome from another that is measured with it."""
    columns = (numeric("x"), numeric("a"), numeric("b"))
    schema = Schema(columns, Task.MULTI_LABEL, target="a", targets=("a", "b"))
    data = replace(DATA, schema=schema)
    assert resolve({"task": "regression"}, data).features == ("x",)
    listed = resolve({"task": "regression", "features": ["x", "b"]}, data)
    assert listed.features == ("x", "b")


def test_a_data_set_of_series_can_be_regressed_where_that_is_asked_for() -> None:
    """Protects from a task that nobody asked for: forecasts by default, and rows if wanted."""
    data = replace(DATA, schema=replace(SCHEMA, task=Task.FORECASTING, target="weight"))
    asked = {"features": ["age"], "task": "REGRESSION"}
    assert resolve(asked, data).task == "regression"
    with pytest.raises(InvalidInputError, match="past_columns` or") as caught:
        resolve({"features": ["age"]}, data)
    assert caught.value.violations[0].field == "training_run.spec.features"
