"""Models that take points in time, and single numbers of vectors, by name: as the tuner's do."""

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.data.rows import Values
from common.data.schema import Column, ColumnType, Schema, Task
from common.errors import InvalidFieldError
from common.models.skops_model import open_skops
from services.analyzer.domain.analysis import analyse
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.fed import fed
from services.analyzer.domain.importance.permutation import permutation_importance
from services.analyzer.domain.models.foreign import SklearnAnalysed
from services.analyzer.domain.part import PartName, PartState
from services.analyzer.domain.subject import Subject
from services.analyzer.opening import check_format, taken_columns
from tests.support.analysis import sample_of, subject_of

ROWS = 120
COLUMNS = {
    "when": Column("when", ColumnType.TIMESTAMP),
    "vector": Column("vector", ColumnType.EMBEDDING, shape=(2,)),
    "size": Column("size", ColumnType.NUMERIC),
}


def subject(estimator: object) -> Subject:
    """A model of a time, of a vector of two numbers, and of a number that does not matter."""
    generator = np.random.default_rng(0)
    when = generator.integers(0, 10**12, ROWS)
    vector = generator.normal(size=(ROWS, 2)).astype(np.float32)
    size = generator.normal(size=ROWS)
    truth = when / 1e12 + vector[:, 1]
    frame = pd.DataFrame(
        {"when": when / 1e6, "vector.0": vector[:, 0], "vector.1": vector[:, 1], "size": size},
        dtype=np.float64,
    )
    estimator.fit(frame, truth)  # type: ignore[attr-defined]
    model = open_skops(skops.io.dumps(estimator), "upload")
    analysed = SklearnAnalysed(model, Task.REGRESSION, ("target",), list(COLUMNS.values()))
    values: dict[str, Values] = {"when": when, "vector": vector, "size": size}
    return subject_of(analysed, sample_of(COLUMNS, values, truth.astype(np.float64)))


@pytest.mark.parametrize("estimator", [LinearRegression(), HistGradientBoostingRegressor()])
def test_numbers_of_a_vector_are_exchanged_together(estimator: object) -> None:
    """They are one column of the data."""
    tried = subject(estimator)
    assert tried.model.features == ("when", "vector", "size")
    places = fed(tried, tried.sample.raw).places["vector"]
    assert [each.input for each in places] == ["vector.0", "vector.1"]
    found = {each.name: each.mean for each in permutation_importance(tried, Budget(20)).items}
    assert found["vector"] > found["when"] > abs(found["size"])


@pytest.mark.parametrize("estimator", [LinearRegression(), HistGradientBoostingRegressor()])
def test_every_part_of_an_analysis_knows_them(estimator: object) -> None:
    """None of them fails."""
    tried = subject(estimator)
    found = analyse(tried, dict.fromkeys(PartName), 12.0, lambda part, share: None, lambda: None)
    failed = [each for each in found.outcomes if each.state is PartState.FAILED]
    assert not failed
    assert PartName.RELATIONS in found.results


def test_times_are_taken_by_models_that_ask_for_them() -> None:
    """Others do not get them."""
    signature = model_pb2.Signature(inputs=[model_pb2.TensorSpec(name="when")])
    schema = Schema(tuple(COLUMNS.values()))
    assert [each.name for each in taken_columns(schema, signature)] == list(COLUMNS)
    others = taken_columns(schema, model_pb2.Signature())
    assert [each.name for each in others] == ["vector", "size"]


def test_forecasters_are_refused_with_the_reason() -> None:
    """Their rows depend on each other."""
    version = model_pb2.ModelVersion(
        name="models/m/versions/1",
        format=model_pb2.MODEL_FORMAT_SKOPS,
        task=dataset_pb2.TASK_FORECASTING,
    )
    with pytest.raises(InvalidFieldError, match="is for the task forecasting") as raised:
        check_format(version, "model_version")
    assert raised.value.reason == "TASK_NOT_SUPPORTED"
