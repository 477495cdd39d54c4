"""What is wrong with a specification is said before the run is made: field and cure."""

from dataclasses import replace

import pytest

from common.data.schema import SplitCounts
from common.errors import InvalidInputError
from tests.unit.trainer.test_resolution import COSTS, DATA, FILE, TABLE, VALUES, resolve


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
        ({**TABLE, "epochs": 0}, "epochs", "must be at least 1"),
        ({**TABLE, "batch_size": 2_000_000}, "batch_size", "must be at most 1048576, not 2000000"),
        ({**TABLE, "seed": -1}, "seed", "must be at least 0, not -1"),
        ({**TABLE, "workers": {"min": 3, "max": 2}}, "workers", "lower min"),
        ({**TABLE, "workers": {"min": 1, "wanted": 3, "max": 2}}, "workers", "min <= wanted"),
        ({**TABLE, "optimizer": {"momentum": 0.5}}, "optimizer.momentum", "Only SGD"),
        (
            {**TABLE, "schedule": {"cosine_decay": True, "reduce_on_plateau": {}}},
            "schedule.cosine_decay",
            "leave one of the two out",
        ),
        ({**TABLE, "monitor": "none", "early_stopping": {}}, "early_stopping", "monitor LOSS"),
        (
            {**TABLE, "growing_decay": {"strengths": FILE}},
            "monitor",
            "to MONITORED_METRIC_NONE",
        ),
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
            "must be at most 1",
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
            "must be at least 1",
        ),
        ({**TABLE, "optimizer": {"ema_decay": 1.0}}, "optimizer.ema_decay", "must be below 1"),
        ({**TABLE, "optimizer": {"beta1": 1.0}}, "optimizer.beta1", "must be below 1"),
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
            "must be above 0",
        ),
        ({**TABLE, "loss": {"label_smoothing": 1.0}}, "loss.label_smoothing", "must be below 1"),
        ({**TABLE, "loss": {"regression": "huber"}}, "loss.regression", "leave it out"),
        ({**TABLE, "loss": {"huber_delta": 2.0}}, "loss.huber_delta", "set `regression`"),
        (
            {**TABLE, "loss": {"focal_gamma": 2.0, "label_smoothing": 0.1}},
            "loss.focal_gamma",
            "leave one of the two out",
        ),
        (
            {**TABLE, "loss": {"class_weights": {"n": 0.0}}},
            'loss.class_weights["n"]',
            "must be above 0",
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
        ({**TABLE, "optimizer": {"clip_norm": 0.0}}, "optimizer.clip_norm", "must be above 0"),
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


def test_data_without_training_rows_are_refused() -> None:
    """Protects from a run that could not do a single step."""
    with pytest.raises(InvalidInputError, match="no training rows"):
        resolve(TABLE, replace(DATA, counts=SplitCounts(validation=5)))
