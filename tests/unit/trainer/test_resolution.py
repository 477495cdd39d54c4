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
from services.trainer.domain.estimate import estimate, evaluation_rows
from services.trainer.domain.origins import TrainedNetwork
from services.trainer.domain.resolution import example_counts, resolve_against_data
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
    assert (resolved.epochs, resolved.batch_size, resolved.checkpoint_interval) == (100, 128, 30)


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


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({"dataset_version": ""}, "dataset_version", "Is required"),
        ({"model": ""}, "model", "Is required"),
        ({"target": "nope"}, "target", "no column `nope`"),
        ({"target": "photo"}, "target", "choose another"),
        ({"target": "gaps"}, "target", "3 rows"),
        ({"target": "constant"}, "target", "only one class"),
        ({"target": "id", "task": "classification"}, "task", "REGRESSION"),
        ({"task": "regression"}, "task", "numeric target"),
        ({"features": ["age", "nope"]}, "features[1]", "no column `nope`"),
        ({"features": ["age", "age"]}, "features[1]", "listed twice"),
        ({"features": ["label"]}, "features[0]", "is the target"),
        ({"features": ["day"]}, "features[0]", "list the columns"),
        ({}, "features", "list the columns"),
        ({"features": ["age", "photo"]}, "features", "`photo` only"),
        ({**TABLE, "weight_column": "city"}, "weight_column", "not numeric"),
        ({**TABLE, "weight_column": "negative"}, "weight_column", "at least 0"),
        ({**TABLE, "weight_column": "gaps"}, "weight_column", "no value in 3 rows"),
        ({**TABLE, "weight_column": "nope"}, "weight_column", "no column"),
        ({**TABLE, "weight_column": "age"}, "features[0]", "is the weight"),
        ({**TABLE, "network": {"cnn": {}}}, "network", "use linear or mlp"),
        ({**TABLE, "network": {"resnet": {}}}, "network", "use linear or mlp"),
        ({"features": ["photo"], "network": {"mlp": {}}}, "network", "use cnn or resnet"),
        (
            {"features": ["photo"], "network": {"resnet": {"depth": 50}}},
            "network.resnet.depth",
            "must be 18 or 34",
        ),
        (
            {
                "features": ["photo"],
                "network": {
                    "resnet": {"stages": [{"blocks": 2, "channels": 8, "inner_channels": [4]}]}
                },
            },
            "network.resnet.stages[0].inner_channels",
            "give one for each",
        ),
        ({**TABLE, "network": {}}, "network", "exactly one"),
        ({**TABLE, "epochs": 0}, "epochs", "greater than or equal to 1"),
        ({**TABLE, "batch_size": 2_000_000}, "batch_size", "less than or equal"),
        ({**TABLE, "seed": -1}, "seed", "greater"),
        ({**TABLE, "workers": {"min": 3, "max": 2}}, "workers", "lower min"),
        ({**TABLE, "workers": {"min": 1, "wanted": 3, "max": 2}}, "workers", "min <= wanted"),
        ({**TABLE, "optimizer": {"momentum": 0.5}}, "optimizer.momentum", "Only SGD"),
        (
            {**TABLE, "schedule": {"cosine_decay": True, "reduce_on_plateau": {}}},
            "schedule.cosine_decay",
            "leave one of the two out",
        ),
        ({**TABLE, "monitor": "none", "early_stopping": {}}, "early_stopping", "monitor LOSS"),
        ({**TABLE, "growing_decay": {"strengths": FILE}}, "monitor", "set `monitor` to NONE"),
        (
            {**TABLE, "monitor": "none", "growing_decay": {}},
            "growing_decay.strengths.uri",
            "Is required",
        ),
        ({**TABLE, "starting_weights": FILE}, "starting_weights", "`parent_model_version`"),
        (
            {**TABLE, "distillation": {}},
            "distillation.teacher_model_version",
            "Is required",
        ),
        (
            {**TABLE, "distillation": {"teacher_model_version": "x", "weight": 1.5}},
            "distillation.weight",
            "less than or equal to 1",
        ),
        ({**TABLE, "optimizer": {"nesterov": True}}, "optimizer.nesterov", "use SGD"),
        (
            {**TABLE, "optimizer": {"kind": "sgd", "nesterov": True, "momentum": 0.0}},
            "optimizer.nesterov",
            "with one",
        ),
        ({**TABLE, "optimizer": {"kind": "sgd", "beta2": 0.9}}, "optimizer.beta2", "SGD has none"),
        (
            {**TABLE, "optimizer": {"accumulation_steps": -1}},
            "optimizer.accumulation_steps",
            "greater than or equal to 1",
        ),
        ({**TABLE, "optimizer": {"ema_decay": 1.0}}, "optimizer.ema_decay", "less than 1"),
        ({**TABLE, "optimizer": {"beta1": 1.0}}, "optimizer.beta1", "less than 1"),
        (
            {**TABLE, "schedule": {"one_cycle": {}, "warmup": {"epochs": 1.0}}},
            "schedule.one_cycle",
            "Not with `warmup`",
        ),
        (
            {**TABLE, "schedule": {"one_cycle": {}, "cosine_decay": True}},
            "schedule.one_cycle",
            "Not with `cosine_decay`",
        ),
        (
            {**TABLE, "schedule": {"one_cycle": {"rise_share": 0.0}}},
            "schedule.one_cycle.rise_share",
            "greater than 0",
        ),
        ({**TABLE, "loss": {"label_smoothing": 1.0}}, "loss.label_smoothing", "less than 1"),
        ({**TABLE, "loss": {"regression": "huber"}}, "loss.regression", "leave it out"),
        ({**TABLE, "loss": {"huber_delta": 2.0}}, "loss.huber_delta", "set `regression`"),
        (
            {**TABLE, "loss": {"focal_gamma": 2.0, "label_smoothing": 0.1}},
            "loss.focal_gamma",
            "leave one of the two out",
        ),
        (
            {**TABLE, "loss": {"class_weights": {"n": 0.0}}},
            "loss.class_weights.n",
            "greater than 0",
        ),
        (
            {**TABLE, "loss": {"class_weights": {"x": 2.0}}},
            "loss.class_weights",
            "its classes are `n`, `y`",
        ),
        (
            {**TABLE, "loss": {**COSTS, "class_weighting": "balanced"}},
            "loss.cost_matrix",
            "leave one of the two out",
        ),
        (
            {**TABLE, "loss": {"cost_matrix": {"rows": [{"truth": "n", "costs": {"y": 1.0}}]}}},
            "loss.cost_matrix.rows",
            "`y` has no row",
        ),
        (
            {**TABLE, "loss": {"cost_matrix": {"rows": [{"truth": "n", "costs": {"z": 1.0}}]}}},
            "loss.cost_matrix.rows[0].costs",
            "no class `z`",
        ),
        (
            {**TABLE, "loss": {"cost_matrix": {"rows": [{"truth": "n"}, {"truth": "n"}]}}},
            "loss.cost_matrix.rows[1].truth",
            "leave one out",
        ),
        (
            {**TABLE, "loss": {"cost_matrix": {"rows": [{"truth": "n"}, {"truth": "y"}]}}},
            "loss.cost_matrix.rows",
            "higher cost",
        ),
        (
            {**VALUES, "loss": {"class_weighting": "balanced"}},
            "loss.class_weighting",
            "leave it out",
        ),
        (
            {**VALUES, "loss": {"balanced_sampling": True}},
            "loss.balanced_sampling",
            "leave it out",
        ),
        (
            {**TABLE, "loss": {"balanced_sampling": True, "class_weighting": "balanced"}},
            "loss.balanced_sampling",
            "Not with `class_weighting`",
        ),
        (
            {**TABLE, "loss": {"balanced_sampling": True, **COSTS}},
            "loss.cost_matrix",
            "Not with `balanced_sampling`",
        ),
        ({**TABLE, "monitor": "objective"}, "monitor", "monitor LOSS"),
        ({**TABLE, "monitor": "mean_cost"}, "monitor", "give `loss.cost_matrix`"),
        ({**VALUES, "monitor": "balanced_accuracy"}, "monitor", "Regression has no balanced"),
        (
            {
                **TABLE,
                "monitor": "objective",
                "loss": {"focal_gamma": 2.0},
                "outliers": {"scan": "outlierScans/s", "prove": {}},
            },
            "monitor",
            "monitor LOSS",
        ),
        (
            {**TABLE, "optimizer": {"learning_rate": float("nan")}},
            "optimizer.learning_rate",
            "finite",
        ),
        ({**TABLE, "optimizer": {"clip_norm": 0.0}}, "optimizer.clip_norm", "greater than 0"),
        ({**TABLE, "schedule": {"warmup": {}}}, "schedule.warmup.epochs", "must be given"),
        (
            {**TABLE, "epochs": 3, "schedule": {"warmup": {"epochs": 5.0}}},
            "schedule.warmup.epochs",
            "shorten it",
        ),
        (
            {"features": ["city"], "target": "age", "monitor": "accuracy"},
            "monitor",
            "monitor LOSS",
        ),
        (
            {**TABLE, "augmentation": {"auto": True, "policies": [{"mixup": {}}]}},
            "augmentation.auto",
            "leave one of the two out",
        ),
        (
            {
                **TABLE,
                "code": {"files": {"own.py": "a = 1"}, "training": "own:train"},
                "augmentation": {"auto": True},
            },
            "augmentation",
            "gets rows as they are",
        ),
        ({**TABLE, "augmentation": {"policies": [{}]}}, "augmentation.policies[0]", "exactly one"),
        (
            {**TABLE, "augmentation": {"policies": [{"mixup": {}}, {"flip": {}}]}},
            "augmentation.policies[1].flip",
            "use one of mixup, noise",
        ),
        (
            {
                **TABLE,
                "features": ["age"],
                "augmentation": {"policies": [{"category_dropout": {}}]},
            },
            "augmentation.policies[0].category_dropout",
            "no categorical column",
        ),
        (
            {**TABLE, "augmentation": {"policies": [{"mixup": {"target_bandwidth": 0.5}}]}},
            "augmentation.policies[0].mixup.target_bandwidth",
            "leave it out",
        ),
        (
            {"features": ["photo"], "augmentation": {"policies": [{"crop": {"padding": 28}}]}},
            "augmentation.policies[0].crop.padding",
            "only 28",
        ),
        (
            {"features": ["photo"], "augmentation": {"policies": [{"color": {"hue": 0.1}}]}},
            "augmentation.policies[0].color.hue",
            "no colours",
        ),
        (
            {"features": ["photo"], "augmentation": {"policies": [{"erasing": {"min_area": 0.5}}]}},
            "augmentation.policies[0].erasing",
            "at most max_area",
        ),
    ],
)
def test_wrong_fields_are_named_with_the_cure(
    spec: dict[str, object], field: str, words: str
) -> None:
    """Protects callers: every error says where and what to do."""
    with pytest.raises(InvalidInputError) as caught:
        resolve(spec)
    assert caught.value.violations[0].field == f"training_run.spec.{field}"
    assert words in caught.value.violations[0].description


@pytest.mark.parametrize("name", ["day", "vector"])
def test_a_column_that_no_network_takes_is_refused_with_those_that_can_be_taken(name: str) -> None:
    """Protects callers: before the run is made, the column is named, and what to list instead."""
    with pytest.raises(InvalidInputError) as caught:
        resolve({"features": ["age", name]})
    [violation] = caught.value.violations
    assert violation.field == "training_run.spec.features[1]"
    assert f"`{name}` is a column of type" in violation.description
    assert "it takes age, weight, negative, gaps, city, flag" in violation.description
    assert "label" not in violation.description


def test_other_targets_are_no_features_unless_listed() -> None:
    """Protects a model from learning one outcome from another that is measured with it."""
    columns = (numeric("x"), numeric("a"), numeric("b"))
    schema = Schema(columns, Task.MULTI_LABEL, target="a", targets=("a", "b"))
    data = replace(DATA, schema=schema)
    assert resolve({"task": "regression"}, data).features == ("x",)
    listed = resolve({"task": "regression", "features": ["x", "b"]}, data)
    assert listed.features == ("x", "b")


def test_data_without_training_rows_are_refused() -> None:
    """Protects from a run that could not do a single step."""
    with pytest.raises(InvalidInputError, match="no training rows"):
        resolve(TABLE, replace(DATA, counts=SplitCounts(validation=5)))


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


def test_a_data_set_of_series_can_be_regressed_where_that_is_asked_for() -> None:
    """Protects from a task that nobody asked for: forecasts by default, and rows if wanted."""
    data = replace(DATA, schema=replace(SCHEMA, task=Task.FORECASTING, target="weight"))
    asked = {"features": ["age"], "task": "REGRESSION"}
    assert resolve(asked, data).task == "regression"
    with pytest.raises(InvalidInputError, match="past of the target alone") as caught:
        resolve({"features": ["age"]}, data)
    assert caught.value.violations[0].field == "training_run.spec.features"


def test_the_estimate_of_forecasts_counts_windows() -> None:
    """Protects the predicted time: an epoch of a short series has more windows than rows."""
    data = replace(DATA, schema=replace(SCHEMA, task=Task.FORECASTING, target="weight"))
    resolved = resolve({"forecast": {"horizon": 4, "window": 10}, "epochs": 2}, data)
    counts = example_counts(resolved, data)
    assert (counts.train, counts.validation) == (4_176, 17)
    assert estimate(resolved, counts).steps == 2 * 33
