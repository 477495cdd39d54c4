"""Estimators of scikit-learn that were fitted on data frames, or on several targets."""

import io
import zipfile
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_selector,
)
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier

from aimass.catalog.v1 import model_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.data.schema import Task
from common.errors import DataLossError, InvalidFieldError
from common.models.inputs import MisfitError, _column
from common.models.sample_rows import SampleRows
from common.models.skops_model import load_skops
from common.models.vectors import encode
from services.catalog.domain.model_inspection import Inspection, inspect_model
from services.catalog.domain.model_spec import ModelFormat
from tests.support.foreign_models import skops_file

COUNT = 200
GENERATOR = np.random.default_rng(0)
AGE = GENERATOR.normal(40, 10, COUNT)
CITY = GENERATOR.choice(["berlin", "paris", "rome"], COUNT).astype(object)
MEMBER = GENERATOR.integers(0, 2, COUNT).astype(bool)
CALLS = GENERATOR.integers(0, 5, COUNT)
LABELS = np.where((CALLS > 2) | (CITY == "rome"), "leaves", "stays")
AGE[3:9] = np.nan
CITY[10:14] = None

FRAME = pd.DataFrame({"age": AGE, "city": CITY, "member": MEMBER, "calls": CALLS})
FULL = FRAME.assign(age=FRAME.age.fillna(0), city=FRAME.city.fillna("oslo"))
ROWS = SampleRows(
    {
        "calls": CALLS.astype(np.float64),
        "member": MEMBER.astype(np.float64),
        "city": CITY,
        "age": AGE,
    },
    {},
    LABELS,
)


def prepared(model: BaseEstimator, encoder: BaseEstimator | None = None) -> Pipeline:
    """Returns the pipeline that most people build over a table of mixed columns."""
    encoder = encoder or OneHotEncoder(handle_unknown="ignore")
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), encoder)
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = [
        ("numbers", numbers, ["age", "calls"]),
        ("texts", texts, ["city"]),
        ("others", "passthrough", ["member"]),
    ]
    return make_pipeline(ColumnTransformer(columns), model)


def inspect(
    estimator: BaseEstimator, rows: SampleRows | None = None, task: Task | None = None
) -> Inspection:
    return inspect_model(skops_file(estimator), ModelFormat.SKOPS, task, (), rows)


def reloaded(estimator: BaseEstimator, found: Inspection) -> Any:
    """Loads the registered model with its test vectors, which are replayed."""
    store = MemoryStore()
    version = model_pb2.ModelVersion(name="models/m/versions/1", signature=found.signature)
    for name, data in (("skops", skops_file(estimator)), ("samples", encode(found.vectors))):
        version.artifacts[name].CopyFrom(put_artifact(store, f"runs/{name}", data, "a/b"))
    return load_skops(store, version)


def inputs_of(found: Inspection) -> dict[str, str]:
    return {each.name: each.dtype for each in found.signature.inputs}


def test_a_pipeline_over_a_table_of_mixed_columns() -> None:
    """Names and types stand in the signature; rows come by name, with gaps; it loads again."""
    estimator = prepared(LogisticRegression()).fit(FRAME, LABELS)
    found = inspect(estimator, ROWS)
    assert inputs_of(found) == {
        **{"age": "float64", "city": "object"},
        **{"member": "float64", "calls": "float64"},
    }
    assert [list(each.shape) for each in found.signature.inputs] == [[-1]] * 4
    assert found.metrics["validation/accuracy"] > 0.9
    assert list(found.vectors.inputs["city"][9:15]) == [*CITY[9:15]]
    inputs = {name: FRAME[name].to_numpy() for name in FRAME}
    given = reloaded(estimator, found).predict(inputs)["probabilities"]
    np.testing.assert_allclose(given, estimator.predict_proba(FRAME))


def grid() -> GridSearchCV:
    grid = {"ridge__alpha": [0.1, 1.0]}
    return GridSearchCV(prepared(Ridge()), grid, cv=KFold(2), scoring="r2")


ESTIMATORS: dict[str, tuple[Callable[[], BaseEstimator], dict[str, str]]] = {
    "selectors": (
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("n", StandardScaler(), make_column_selector(dtype_include=np.number)),
                    ("c", OneHotEncoder(), make_column_selector(dtype_include=[bool])),
                    ("t", OrdinalEncoder(), ["city"]),
                ]
            ),
            RandomForestClassifier(5, random_state=0),
        ).fit(FULL, LABELS),
        {"city": "object", "member": "bool", "age": "float64"},
    ),
    "categories by type": (
        lambda: HistGradientBoostingClassifier(max_iter=3, random_state=0).fit(
            FRAME.assign(city=FRAME.city.astype("category")), LABELS
        ),
        {"city": "object", "age": "float64"},
    ),
    "target encoder": (
        lambda: prepared(LogisticRegression(), TargetEncoder()).fit(FRAME, LABELS),
        {"city": "object"},
    ),
    "bins": (
        lambda: make_pipeline(KBinsDiscretizer(3), DecisionTreeClassifier()).fit(
            FULL[["calls", "age"]], LABELS
        ),
        {"calls": "float64", "age": "float64"},
    ),
    "words of a text": (
        lambda: make_pipeline(
            ColumnTransformer([("t", TfidfVectorizer(), "city")]), LogisticRegression()
        ).fit(FULL, LABELS),
        {"city": "object", "calls": "float64"},
    ),
    "a search": (lambda: grid().fit(FRAME, CALLS), {"city": "object", "age": "float64"}),
    "a scaled target": (
        lambda: TransformedTargetRegressor(prepared(Ridge()), transformer=StandardScaler()).fit(
            FRAME, CALLS
        ),
        {"city": "object", "age": "float64"},
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_encoders_know_decides_on_types_and_samples(name: str) -> None:
    """Random rows are of values that the encoders were fitted on, else most would be refused."""
    make, expected = ESTIMATORS[name]
    estimator = make()
    found = inspect(estimator)
    assert expected.items() <= inputs_of(found).items()
    known = {"berlin", "paris", "rome", "oslo"}
    if "city" in expected:
        assert set(found.vectors.inputs["city"]) <= known
    reloaded(estimator, found)
    rows = SampleRows(
        {**ROWS.columns, "city": FULL.city.to_numpy(object), "age": FULL.age.to_numpy()}, {}, None
    )
    reloaded(estimator, inspect(estimator, rows))


def test_a_matrix_of_texts() -> None:
    """An estimator that was fitted without names takes one input of objects."""
    matrix = FULL[["city", "calls"]].to_numpy(dtype=object)
    columns = [("t", OneHotEncoder(), [0]), ("n", StandardScaler(), [1])]
    estimator = make_pipeline(ColumnTransformer(columns), LogisticRegression())
    found = inspect(estimator.fit(matrix, LABELS))
    assert inputs_of(found) == {"features": "object"}
    assert list(found.signature.inputs[0].shape) == [-1, 2]
    assert reloaded(estimator, found).predict({"features": matrix})["probabilities"].shape == (
        *(COUNT, 2),
    )


def test_changed_answers_are_found_in_a_table_too() -> None:
    """Protects the replay: texts and gaps in the vectors reach the model as they were."""
    estimator = prepared(LogisticRegression()).fit(FRAME, LABELS)
    found = inspect(estimator, ROWS)
    other = prepared(LogisticRegression()).fit(FRAME, LABELS[::-1])
    with pytest.raises(DataLossError, match="`probabilities` of its test vectors differs"):
        reloaded(other, found)


FITTING = {"calls": CALLS.astype(np.float64), "age": FULL.age.to_numpy(np.float64)}
BOTH = np.column_stack([LABELS, CITY.astype(str)])
MARKS = np.column_stack([CALLS > 2, MEMBER]).astype(int)
SEVERAL: dict[str, tuple[BaseEstimator, Any, Task, dict[str, list[int]], list[list[str]]]] = {
    "classes of several targets": (
        RandomForestClassifier(3, random_state=0),
        BOTH,
        Task.CLASSIFICATION,
        {"probabilities_0": [-1, 2], "probabilities_1": [-1, 4]},
        [["leaves", "stays"], ["None", "berlin", "paris", "rome"]],
    ),
    "no probabilities": (
        MultiOutputClassifier(RidgeClassifier()),
        BOTH,
        Task.CLASSIFICATION,
        {"prediction_0": [-1], "prediction_1": [-1]},
        [["leaves", "stays"], ["None", "berlin", "paris", "rome"]],
    ),
    "labels": (
        MLPClassifier((3,), max_iter=5, random_state=0),
        MARKS,
        Task.MULTI_LABEL,
        {"probabilities": [-1, 2]},
        [[]],
    ),
    "labels without probabilities": (
        RidgeClassifier(),
        MARKS,
        Task.MULTI_LABEL,
        {"prediction": [-1, 2]},
        [[]],
    ),
    "a chain": (
        ClassifierChain(LogisticRegression()),
        MARKS,
        Task.MULTI_LABEL,
        {"probabilities": [-1, 2]},
        [[]],
    ),
    "numbers": (
        LinearRegression(),
        np.column_stack([CALLS, FULL.age]),
        Task.REGRESSION,
        {"prediction": [-1, 2]},
        [[]],
    ),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", SEVERAL)
def test_several_targets(name: str) -> None:
    """Each target has an output or a column of one, and its classes stand beside it."""
    estimator, targets, task, outputs, classes = SEVERAL[name]
    estimator = make_pipeline(StandardScaler(), estimator).fit(FULL[["calls", "age"]], targets)
    found = inspect(estimator, SampleRows(FITTING))
    assert found.task is task
    assert {each.name: list(each.shape) for each in found.signature.outputs} == outputs
    assert [list(each.classes) for each in found.signature.outputs] == classes
    reloaded(estimator, found)
    with pytest.raises(InvalidFieldError, match="leave it out"):
        inspect(estimator, task=Task.FORECASTING)


def renamed(values: np.ndarray, name: str) -> SampleRows:
    return SampleRows(
        {**{key: ROWS.columns[key] for key in ROWS.columns if key != name}, "x": values}
    )


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (renamed(AGE, "age"), "has no column `age`"),
        (SampleRows({**ROWS.columns, "calls": CITY}), "has texts in the column `calls`"),
        (SampleRows({**ROWS.columns, "city": np.ones((len(CITY), 2))}), "vectors in .* `city`"),
    ],
)
def test_columns_that_do_not_fit_are_named(rows: SampleRows, complaint: str) -> None:
    """Protects from trying a model on the wrong columns because their number is right."""
    estimator = prepared(LogisticRegression()).fit(FRAME, LABELS)
    with pytest.raises(InvalidFieldError, match=complaint) as raised:
        inspect(estimator, rows)
    assert raised.value.violations[0].field == "model_import.spec.dataset_version"


@pytest.mark.parametrize(
    ("values", "truths"),
    [
        (np.array(["1", "0", "TRUE", "false"], object), [True, False, True, False]),
        (np.array(["1", None, "0.0"], object), [True, None, False]),
        (np.array([1.0, np.nan, 0.0]), [True, None, False]),
        (np.array(["yes", "no"], object), None),
        (np.array([0.5, 1.0]), None),
    ],
)
def test_truth_values(values: np.ndarray, truths: list[bool | None] | None) -> None:
    """Truth values are known in the words of the data sets; others are told, not left out."""
    rows = SampleRows({"x": values})
    if truths is not None:
        assert _column("x", "bool", rows).tolist() == truths
        return
    with pytest.raises(MisfitError, match="in the column `x`"):
        _column("x", "bool", rows)


def test_a_partial_of_a_foreign_function_is_refused() -> None:
    """Protects the list: a type that names others opens no way around it."""
    estimator = make_pipeline(FunctionTransformer(partial(inspect, rows=None)), LinearRegression())
    with pytest.raises(InvalidFieldError, match=r"holds the type .*inspect"):
        inspect(estimator)


def test_what_a_listed_module_imports_is_not_listed() -> None:
    """Protects the list: a module of scikit-learn opens no way to what it uses itself."""
    content = skops_file(DecisionTreeClassifier().fit(FULL[["calls"]], LABELS))
    source = zipfile.ZipFile(io.BytesIO(content))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name in source.namelist():
            text = source.read(name)
            if name == "schema.json":
                schema = text.decode().replace('"sklearn.tree._tree"', '"sklearn.calibration"')
                text = schema.replace('"Tree"', '"Parallel"').encode()
            file.writestr(name, text)
    with pytest.raises(InvalidFieldError, match=r"holds the type sklearn\.calibration\.Parallel"):
        inspect_model(target.getvalue(), ModelFormat.SKOPS, None, (), None)


def test_rows_come_back_from_their_file(tmp_path: Any) -> None:
    """Protects the way into the process that tries the model: texts with gaps, no objects."""
    ROWS.save(tmp_path / "rows.npz")
    found = SampleRows.load(tmp_path / "rows.npz")
    assert list(found.columns) == list(ROWS.columns)
    for name, values in ROWS.columns.items():
        np.testing.assert_array_equal(found.columns[name], values)
