"""The ONNX twin beside a model: published where it agrees; otherwise it is said why not."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from aimass.catalog.v1 import model_pb2
from common.artifacts.memory import MemoryStore
from common.models.estimators.blending import BlendedClassifier, BlendGroup
from common.models.onnx_model import open_onnx
from common.models.packaging import packaged, store_package
from common.models.store import read_part
from common.models.twins.twin import fed
from common.models.vectors import read_vectors
from services.tuner.domain.families.family import Fold
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.problem import Problem
from services.tuner.domain.reading import problem_from_frame
from services.tuner.twinning import ERROR_METRIC, ONNX, Twins

ROWS = 60


@pytest.fixture
def owner() -> Any:
    """What is needed of an attempt; what it logs is kept."""
    logged: list[str] = []
    return SimpleNamespace(
        store=MemoryStore(), logged=logged, log=lambda text, **more: logged.append(text)
    )


def problem() -> Problem:
    """A number and a colour that tell a class."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"number": generator.normal(size=ROWS), "colour": generator.choice(["red", "blue"], ROWS)}
    )
    is_high = frame["number"] + (frame["colour"] == "red") > 0.5
    frame["kind"] = np.where(is_high, "high", "low")
    return problem_from_frame(frame, "kind")


def published(owner: Any, seconds: float, **settings: Any) -> model_pb2.ModelVersion:
    """Returns a version of a blend, after its twin was to be added."""
    given, family = problem(), FAMILIES[settings.pop("family")]
    configuration = family.space(given).completed(settings)
    fold = Fold(given.features, given.truth)
    estimator = family.fit(given, fold, configuration, 0, lambda: 1.0).estimator
    names = list(given.features)
    blend = BlendedClassifier.of([BlendGroup([estimator], 1.0)], names, given.outputs)
    package = packaged(blend, given.features)
    version = store_package(owner.store, "model/", package, given.kind)
    Twins(owner, "model/", seconds).add(version, package, blend, given)
    return version


def test_the_twin_repeats_the_test_vectors(owner: Any) -> None:
    """It is a file of the version, takes the same columns, and its error is a metric."""
    version = published(owner, 100, family="linear")
    model = open_onnx(read_part(version, ONNX, owner.store), ONNX)
    vectors = read_vectors(version, owner.store)
    assert {each.name for each in model.signature.inputs} == set(vectors.inputs)
    found = model.predict(fed(vectors.inputs))
    for name, expected in vectors.outputs.items():
        assert found[name] == pytest.approx(expected, abs=1e-6)
    assert 0 <= version.metrics[ERROR_METRIC] < 1e-4
    assert owner.logged == ["The model has an ONNX twin."]


@pytest.mark.parametrize(
    ("seconds", "settings", "why"),
    [
        (100.0, {"family": "nearest_neighbours", "metric": "manhattan"}, "manhattan"),
        (0.1, {"family": "linear"}, "no time is left"),
    ],
)
def test_without_a_twin_the_log_says_why(
    owner: Any, seconds: float, settings: dict[str, Any], why: str
) -> None:
    """The model is published all the same."""
    version = published(owner, seconds, **settings)
    assert set(version.artifacts) == {"skops", "samples"}
    [told] = owner.logged
    assert told.startswith("The model has no ONNX twin: ") and why in told
