"""What a pruning is refused for before it begins: the field is named, and the cure."""

from dataclasses import replace
from typing import Any

import pytest

from aimass.catalog.v1 import model_pb2
from aimass.pruner.v1 import pruner_pb2
from common.data.schema import Column, ColumnType, KnownDataset, Schema, SplitCounts, Task
from common.errors import InvalidFieldError, InvalidInputError
from services.pruner.convert import known_model, run_to_proto, specification_from_proto
from services.pruner.domain.front import Gain
from services.pruner.domain.methods import METHODS, ModelFormat
from services.pruner.domain.resolution import KnownModel, resolve_against
from services.pruner.domain.specification import (
    FineTuning,
    Importance,
    PruningSpecification,
    Runtime,
)

SCHEMA = Schema(
    (
        Column("a", ColumnType.NUMERIC),
        Column("y", ColumnType.CATEGORICAL, categories=("no", "yes")),
    ),
    Task.CLASSIFICATION,
    "y",
    targets=("y",),
)
DATA = KnownDataset("datasets/d/versions/1", SCHEMA, SplitCounts(100, 40, 60))
MODEL = KnownModel(
    name="models/m/versions/3",
    format=ModelFormat.SKOPS,
    task=Task.CLASSIFICATION,
    classes=("no", "yes"),
    metrics=(),
    roles=frozenset({"skops", "samples"}),
    learned_validation=False,
)
PACKAGE = replace(MODEL, format=ModelFormat.TORCH_PACKAGE, roles=frozenset({"weights", "onnx"}))


def refusal(
    spec: dict[str, Any], model: KnownModel = MODEL, data: KnownDataset = DATA
) -> tuple[str, str]:
    """Returns the field that is refused, and why."""
    with pytest.raises(InvalidFieldError) as caught:
        resolve_against(PruningSpecification(**spec), model, data)
    [violation] = caught.value.violations
    return violation.field.removeprefix("pruning_run.spec."), violation.description


def test_defaults_come_from_the_model_and_the_data() -> None:
    resolved = resolve_against(PruningSpecification(), MODEL, DATA)
    spec = resolved.specification
    assert (spec.model, spec.model_version) == ("models/m", MODEL.name)
    assert (spec.metric, spec.target.runtime) == ("roc_auc", Runtime.NATIVE)
    assert list(spec.methods) == [
        *("fewer_members", "smaller_parts", "fewer_columns"),
        *("smaller_graph", "small_network"),
    ]
    assert (resolved.choosing, resolved.judging) == (40, 60)
    assert run_to_proto(resolved).estimate.judging_row_count == 60
    graph = replace(MODEL, format=ModelFormat.ONNX, roles=frozenset({"onnx"}))
    assert resolve_against(PruningSpecification(), graph, DATA).specification.target.runtime is (
        Runtime.ONNX_RUNTIME
    )


def test_the_metric_is_the_one_that_the_model_was_made_for() -> None:
    """A search for the best log loss is not pruned by another metric, unless that is asked for."""
    made = replace(MODEL, metrics=("loss", "log_loss"))
    assert resolve_against(PruningSpecification(), made, DATA).specification.metric == "log_loss"
    asked = PruningSpecification(metric="accuracy")
    assert resolve_against(asked, made, DATA).specification.metric == "accuracy"


def test_what_does_not_fit_is_refused_with_the_cure() -> None:
    assert refusal({"metric": "rmse"}) == (
        "metric",
        "`rmse` does not fit binary problems; take roc_auc, average_precision, log_loss, brier, "
        "accuracy, balanced_accuracy, f1, f1_macro, f1_micro or mcc.",
    )
    field, why = refusal({"metric": "speed"})
    assert (field, why.startswith("There is no metric `speed`; there are ")) == ("metric", True)
    field, why = refusal({"methods": ("fewer_members", "magic")})
    assert (field, why.startswith("There is no method `magic`;")) == ("methods[1]", True)
    field, why = refusal({"methods": ("smaller_graph",)})
    assert field == "methods[0]"
    assert "does not fit models/m/versions/3, a skops model; take fewer_members," in why
    runtime = {"target": {"runtime": "onnx_runtime"}}
    assert refusal(runtime) == (
        "target.runtime",
        "models/m/versions/3 has no ONNX twin; take NATIVE, or a model that has one.",
    )
    graph = replace(MODEL, format=ModelFormat.ONNX, roles=frozenset({"onnx"}))
    assert refusal({"target": {"runtime": "native"}}, graph)[0] == "target.runtime"


def test_what_follows_small_networks_fits_with_them_alone() -> None:
    """A graph is made smaller of the network that learned from a model, not of the model."""
    both = ("small_network", "smaller_graph")
    resolved = resolve_against(PruningSpecification(methods=both), MODEL, DATA)
    assert list(resolved.specification.methods) == ["smaller_graph", "small_network"]
    alone = resolve_against(PruningSpecification(methods=("small_network",)), MODEL, DATA)
    assert list(alone.specification.methods) == ["small_network"]
    field, why = refusal({"methods": ("small_network", "fewer_units")})
    assert field == "methods[1]" and "does not fit" in why


def test_small_networks_learn_from_tables_alone() -> None:
    """Elsewhere they are left out, and refused where they are asked for; no layer stays in them."""
    words = Column("words", ColumnType.TEXT)
    texts = replace(DATA, schema=replace(SCHEMA, columns=(*SCHEMA.columns, words)))
    labels = replace(MODEL, task=Task.MULTI_LABEL)
    graph = replace(MODEL, format=ModelFormat.ONNX, roles=frozenset({"onnx"}))
    for model, data, more, reason in (
        (MODEL, texts, {}, "skops model of data with other columns than numbers"),
        (labels, DATA, {}, "skops model of several labels; take fewer_members,"),
        (graph, DATA, {"kept_layers": ("l",)}, "onnx model of which layers are to stay;"),
    ):
        spec = resolve_against(PruningSpecification(**more), model, data).specification
        assert "small_network" not in spec.methods
        field, why = refusal({"methods": ("small_network",), **more}, model, data)
        assert field == "methods[0]"
        assert reason in why
    network = replace(MODEL, format=ModelFormat.TORCH_PACKAGE, roles=frozenset({"onnx"}))
    spec = resolve_against(PruningSpecification(), network, DATA).specification
    assert "small_network" not in spec.methods


def test_multiplications_are_counted_of_networks_alone() -> None:
    field, why = refusal({"gain": "multiplications"})
    assert field == "gain" and "take LATENCY, SIZE or MEMORY" in why
    graph = replace(MODEL, format=ModelFormat.ONNX, roles=frozenset({"onnx"}))
    asked = PruningSpecification(gain=Gain.MULTIPLICATIONS)
    assert resolve_against(asked, graph, DATA).specification.gain is Gain.MULTIPLICATIONS


def test_too_few_rows_to_tell_are_refused() -> None:
    few = replace(DATA, counts=SplitCounts(100, 0, 30))
    field, why = refusal({}, data=few)
    assert field == "dataset_version"
    assert "15 to choose by and 15 to judge on, of 20 each at least" in why


@pytest.mark.parametrize("kind", ModelFormat)
def test_other_tasks_are_refused(kind: ModelFormat) -> None:
    """Protects networks, own code and searches for forecasts from a pruning that fails late."""
    field, why = refusal({}, replace(MODEL, format=kind, task=Task.FORECASTING))
    assert (field, "is for the task forecasting" in why) == ("model_version", True)


def test_formats_that_are_none_are_refused() -> None:
    detector = model_pb2.ModelVersion(
        name="models/d/versions/1", format=model_pb2.MODEL_FORMAT_DETECTOR
    )
    with pytest.raises(InvalidFieldError, match="is a detector; name a package of the trainer"):
        known_model(detector)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"max_loss": -0.1}, "max_loss"),
        ({"confidence": 0.4}, "confidence"),
        ({"target": {"batch_size": 0}}, "target.batch_size"),
        ({"target": {"threads": 65}}, "target.threads"),
        ({"budget": {"seconds": 9}}, "budget"),
        ({"seed": -1}, "seed"),
    ],
)
def test_values_out_of_range_are_refused(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        specification_from_proto(pruner_pb2.PruningSpec(**spec))
    assert [each.field for each in caught.value.violations] == [f"pruning_run.spec.{field}"]


def test_every_format_has_methods() -> None:
    assert {form for each in METHODS.values() for form in each.formats} >= {
        ModelFormat.SKOPS,
        ModelFormat.ONNX,
    }


def test_only_networks_are_trained_again() -> None:
    """Their defaults are filled in; elsewhere the settings would change nothing."""
    tuning = resolve_against(PruningSpecification(), PACKAGE, DATA).specification.fine_tuning
    assert tuning == FineTuning(epochs=4, workers=4, regularise=True)
    assert resolve_against(PruningSpecification(), MODEL, DATA).specification.fine_tuning is None
    field, why = refusal({"fine_tuning": FineTuning(epochs=2)})
    assert field == "fine_tuning" and why.endswith("leave it out.")


def test_layers_that_stay_are_layers_of_the_network() -> None:
    """A wrong name is refused with the names that there are; graphs are not opened for it."""
    package = replace(PACKAGE, layers=("layers.0", "layers.2"))
    resolved = resolve_against(PruningSpecification(kept_layers=("layers.2",)), package, DATA)
    assert resolved.specification.kept_layers == ("layers.2",)
    field, why = refusal({"kept_layers": ("layers.0", "layers.1")}, package)
    assert field == "kept_layers[1]"
    assert why == "models/m/versions/3 has no layer `layers.1`; there are layers.0 or layers.2."
    assert refusal({"kept_layers": ("a",)})[0] == "kept_layers[0]"
    assert "there is none" in refusal({"kept_layers": ("a",)}, PACKAGE)[1]


def test_units_are_ranked_by_what_the_network_has() -> None:
    """Scales need a normalisation, and only networks have units."""
    resolved = resolve_against(PruningSpecification(), PACKAGE, DATA)
    assert resolved.specification.importance is Importance.TAYLOR
    field, why = refusal({"importance": Importance.NORM_SCALE}, PACKAGE)
    assert field == "importance" and why.endswith("MAGNITUDE or ACTIVATION.")
    normed = replace(PACKAGE, has_batch_norm=True)
    asked = PruningSpecification(importance=Importance.NORM_SCALE)
    assert resolve_against(asked, normed, DATA).specification.importance is Importance.NORM_SCALE
    assert refusal({"importance": Importance.TAYLOR})[1].endswith("leave it out.")
