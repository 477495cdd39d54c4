"""Whose weights a run starts from, and whom it learns from."""

from dataclasses import replace

import pytest

from common.errors import InvalidInputError
from common.models.preprocessing import NumericColumn, Preprocessing, Target
from common.networks.specification import NetworkSpecification
from services.trainer.domain.estimate import estimate
from services.trainer.domain.origins import TrainedNetwork
from tests.unit.trainer.test_resolution import DATA, FILE, TABLE, resolve

PARENT = TrainedNetwork(
    name="models/m/versions/2",
    network=NetworkSpecification.model_validate(
        {"linear": {}, "input": {"numeric_columns": 1}, "outputs": 2}
    ),
    preprocessing=Preprocessing(
        numeric=(NumericColumn(name="age", mean=0, scale=1),),
        target=Target(name="label", task="classification", classes=("n", "y")),
    ),
)


def test_a_parent_that_fits_is_kept_by_its_number() -> None:
    """Protects lineage: `latest` becomes the version that was used."""
    resolved = resolve({"features": ["age"], "network": {"linear": {}}}, parent=PARENT)
    assert resolved.parent_model_version == "models/m/versions/2"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"features": ["age"]}, "is another one"),
        ({"features": ["id"], "network": {"linear": {}}}, "features age"),
        ({"features": ["age"], "target": "flag", "network": {"linear": {}}}, "class `false`"),
    ],
)
def test_a_parent_that_does_not_fit_is_refused(spec: dict[str, object], words: str) -> None:
    """Protects from weights that mean something else."""
    with pytest.raises(InvalidInputError) as caught:
        resolve(spec, parent=PARENT)
    assert caught.value.violations[0].field == "training_run.spec.parent_model_version"
    assert words in caught.value.message


ONE = {"features": ["age"], "network": {"mlp": {"hidden_widths": [4]}}}
TAUGHT = {"distillation": {"teacher_model_version": PARENT.name}}


def test_a_teacher_may_be_another_network() -> None:
    """Protects distillation: kind and widths differ, inputs and outputs do not."""
    resolved = resolve({**ONE, **TAUGHT}, teacher=PARENT).distillation
    assert resolved is not None
    assert resolved.teacher_model_version == PARENT.name
    assert (resolved.weight, resolved.temperature) == (0.7, 4.0)


def test_given_weights_may_be_those_of_another_network() -> None:
    """Protects fine-tuning of pruned networks: widths are other than the parent's."""
    spec = {**ONE, "parent_model_version": PARENT.name, "starting_weights": FILE}
    resolved = resolve(spec, parent=PARENT)
    assert resolved.network is not None and resolved.network.kind == "mlp"
    with pytest.raises(InvalidInputError, match="other inputs or outputs"):
        resolve({**spec, "features": ["age", "city"]}, parent=PARENT)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({**TABLE, **TAUGHT}, "other inputs or outputs"),
        ({**ONE, **TAUGHT, "features": ["id"]}, "features age"),
        ({**ONE, **TAUGHT, "target": "flag"}, "class `false`"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(spec: dict[str, object], words: str) -> None:
    """Protects from a teacher that speaks of something else."""
    with pytest.raises(InvalidInputError) as caught:
        resolve(spec, teacher=PARENT)
    field = "training_run.spec.distillation.teacher_model_version"
    assert caught.value.violations[0].field == field
    assert words in caught.value.message


def test_teacher_and_parent_see_the_same() -> None:
    """Protects from a teacher whose inputs were scaled otherwise."""
    scaled = (NumericColumn(name="age", mean=5, scale=2),)
    preprocessing = PARENT.preprocessing.model_copy(update={"numeric": scaled})
    other = replace(PARENT, name="models/m/versions/1", preprocessing=preprocessing)
    spec = {"features": ["age"], "network": {"linear": {}}, **TAUGHT}
    spec["parent_model_version"] = PARENT.name
    assert resolve(spec, parent=PARENT, teacher=PARENT).distillation is not None
    with pytest.raises(InvalidInputError, match="another preprocessing than models/m/versions/2"):
        resolve(spec, parent=PARENT, teacher=other)


def test_only_classes_have_a_temperature() -> None:
    """Protects from a setting that would change nothing."""
    spec = {
        "target": "age",
        "features": ["city"],
        "distillation": {"teacher_model_version": "models/m/versions/2", "temperature": 2.0},
    }
    with pytest.raises(InvalidInputError, match="leave it out") as caught:
        resolve(spec)
    assert caught.value.violations[0].field == "training_run.spec.distillation.temperature"


def test_a_teacher_takes_time_and_memory() -> None:
    """Protects `validate_only`: its forward pass counts."""
    resolved = resolve(TABLE)
    wide = {"mlp": {"hidden_widths": [4096, 4096], "embedding_widths": [1, 1]}}
    inputs = {"numeric_columns": 1, "category_sizes": [4, 3]}
    teacher = NetworkSpecification.model_validate({**wide, "input": inputs, "outputs": 2})
    alone, taught = estimate(resolved, DATA.counts), estimate(resolved, DATA.counts, teacher)
    assert taught.seconds > 2 * alone.seconds
    assert taught.worker_memory_bytes > alone.worker_memory_bytes + 4 * 4096**2
    assert taught.steps == alone.steps
