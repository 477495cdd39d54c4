"""The ONNX twin of a blend says what the blend says; where it cannot, it says why."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from common.models.estimators.blending import BlendedClassifier, BlendedRegressor, BlendGroup
from common.models.estimators.combining import Doubted, Mean, ScaledScores, Steps
from common.models.estimators.filled_columns import (
    FilledColumnsClassifier,
    FilledColumnsRegressor,
    Filler,
)
from common.models.estimators.stacking import StackedClassifier
from common.models.frames import columns_of
from common.models.onnx_model import open_onnx
from common.models.packaging import model_inputs
from common.models.skops_model import SkopsModel
from common.models.twins.graph import NoTwinError
from common.models.twins.twin import Bounds, fed, twin_of
from services.tuner.domain.families.family import Fold
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.reading import problem_from_frame
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.trials.lessons import _widened

ROWS = 120
SECONDS = 0.5
SCALED = ScaledScores(np.array([0.9, 1.1]), np.array([0.1, 0.0]))
BLENDED = ("linear", "decision_tree", "light_boosting")


def table() -> pd.DataFrame:
    """Numbers with gaps and a long tail, categories with gaps, times."""
    generator = np.random.default_rng(0)
    tail = np.exp(2 * generator.normal(size=ROWS))
    missing = generator.random((2, ROWS)) < 0.1
    names = generator.choice(list("wxyz"), ROWS)
    return pd.DataFrame(
        {
            "number": generator.normal(size=ROWS),
            "tail": np.where(missing[0], np.nan, tail),
            "few": generator.integers(0, 4, ROWS).astype(float),
            "colour": [
                None if gone else name for gone, name in zip(missing[1], names, strict=True)
            ],
            "time": pd.Timestamp("1999-01-01")
            + pd.to_timedelta(np.arange(ROWS) * 9_000_001, unit="s"),
        }
    )


def problem(kind: ProblemKind) -> Problem:
    """The table with a target of a kind."""
    frame, generator = table(), np.random.default_rng(1)
    value = frame["number"] + (frame["colour"] == "x") + 0.5 * generator.normal(size=ROWS)
    if kind is ProblemKind.REGRESSION:
        frame["y"] = value
    else:
        count = 2 if kind is ProblemKind.BINARY else 3
        names = np.array(["a", "b", "c"])
        frame["y"] = names[pd.qcut(value, count, labels=False).to_numpy()]
    return problem_from_frame(frame, "y")


def fitted(family: str, given: Problem, rows: Any = slice(None), **more: Any) -> Any:
    """Returns an estimator of a family, with the defaults but for what is given."""
    one = FAMILIES[family]
    space = one.space(given)
    settings: Configuration = space.completed({**more}) if more else space.default
    fold = Fold(given.features[rows], given.truth[rows])
    return one.fit(given, fold, settings, 0, lambda: SECONDS).estimator


def blend_of(given: Problem, groups: Sequence[BlendGroup], **more: Any) -> Any:
    """Returns a blend."""
    names = list(given.features)
    if given.kind is ProblemKind.REGRESSION:
        return BlendedRegressor.of(groups, names, **more)
    return BlendedClassifier.of(groups, names, given.outputs, **more)


def alone(family: str, given: Problem, **more: Any) -> Any:
    """Returns a blend of one estimator."""
    return blend_of(given, [BlendGroup([fitted(family, given, **more)], 1.0)])


def outputs(
    blend: Any, given: Problem, bounds: Bounds | None = None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Returns what a blend and its twin say of all rows."""
    columns = columns_of(blend, list(blend.feature_names_in_))
    inputs = model_inputs(SkopsModel(blend, columns, True, None), given.features)  # type: ignore[arg-type]
    is_value = given.kind is ProblemKind.REGRESSION
    name = "prediction" if is_value else "probabilities"
    predict = blend.predict if is_value else blend.predict_proba
    expected = np.asarray(predict(given.features), np.float64)
    twin = twin_of(blend, columns, name, inputs, expected, bounds or Bounds(60))
    model = open_onnx(twin.content, "onnx")
    taken = {each.name for each in model.signature.inputs}
    given_inputs = {key: each for key, each in fed(inputs).items() if key in taken}
    return expected, model.predict(given_inputs)[name]


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize(
    "kind", [ProblemKind.BINARY, ProblemKind.MULTICLASS, ProblemKind.REGRESSION]
)
def test_each_family_has_a_twin_that_agrees(kind: ProblemKind, family: str) -> None:
    """With its usual settings, on numbers, categories, times and gaps, as the catalog opens it."""
    if kind not in FAMILIES[family].kinds:
        pytest.skip("it does not learn this kind")
    given = problem(kind)
    expected, found = outputs(alone(family, given), given)
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "more",
    [
        {"prepare.categories": "target"},
        {"prepare.scaling": "quantile"},
        {"prepare.scaling": "robust", "prepare.imputation": "median"},
        {"prepare.interactions": True},
        {"interactions": True},
    ],
)
def test_preparations_have_counterparts(more: dict[str, Any]) -> None:
    """Target codes, quantiles, products of columns."""
    given = problem(ProblemKind.BINARY)
    expected, found = outputs(alone("linear", given, **more), given)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("mean", "calibration"),
    [
        (Mean.PLAIN, None),
        (Mean.LOGITS, SCALED),
        (Mean.LOGITS, Doubted(0.1, np.array([0.3, 0.7]), SCALED)),
        (Mean.LOGITS, Steps(np.array([0.1, 0.4, 0.4, 0.9]), np.array([0.0, 0.2, 0.5, 1.0]))),
    ],
)
def test_a_blend_of_several_folds_and_families(mean: Mean, calibration: Any) -> None:
    """Means over folds, then over groups, then a calibration."""
    given = problem(ProblemKind.BINARY)
    halves = (slice(0, ROWS // 2), slice(ROWS // 2, ROWS))
    groups = [
        BlendGroup([fitted(each, given, rows) for rows in halves], weight)
        for each, weight in zip(BLENDED, (0.5, 0.3, 0.2), strict=True)
    ]
    blend = blend_of(given, groups, mean=mean, calibration=calibration)
    expected, found = outputs(blend, given)
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_weighted_median() -> None:
    """Of values, for metrics of absolute errors."""
    given = problem(ProblemKind.REGRESSION)
    groups = [
        BlendGroup([fitted(each, given)], weight)
        for each, weight in zip(BLENDED, (0.25, 0.25, 0.5), strict=True)
    ]
    expected, found = outputs(blend_of(given, groups, mean=Mean.MEDIAN), given)
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_model_that_learns_from_others() -> None:
    """Scores of base models are columns of the one above."""
    given = problem(ProblemKind.MULTICLASS)
    base = BlendGroup([fitted("decision_tree", given)], 1.0)
    said = base.estimators_[0].predict_proba(given.features)
    wide = _widened(given, [said], Mean.LOGITS)
    upper = fitted("linear", wide)
    stacked = StackedClassifier.of([base], upper, len(given.outputs), Mean.LOGITS)
    expected, found = outputs(blend_of(given, [BlendGroup([stacked], 1.0)]), given)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", [ProblemKind.BINARY, ProblemKind.REGRESSION])
def test_models_that_do_without_columns(kind: ProblemKind) -> None:
    """Typical numbers and categories, or a gap, stand in for columns; nobody is asked for them."""
    given = problem(kind)
    of = FilledColumnsRegressor if kind is ProblemKind.REGRESSION else FilledColumnsClassifier
    several: list[dict[str, Filler]] = [
        {"tail": 1.5},
        {"few": 2.0, "colour": "y"},
        {"colour": None},
    ]
    for fillers in several:
        made = of.of(alone("linear", given), list(given.features), fillers)
        expected, found = outputs(made, given)
        assert found == pytest.approx(expected, abs=1e-6)


def test_where_there_is_no_twin_it_is_said_why() -> None:
    """Operators that ONNX lacks, a size or a time that it would take."""
    given = problem(ProblemKind.BINARY)
    with pytest.raises(NoTwinError, match="manhattan"):
        outputs(alone("nearest_neighbours", given, metric="manhattan"), given)
    linear = alone("linear", given)
    with pytest.raises(NoTwinError, match="larger than"):
        outputs(linear, given, Bounds(60, 1000))
    with pytest.raises(NoTwinError, match=r"more than 0\.0 s"):
        outputs(linear, given, Bounds(0))


def test_what_differs_is_no_twin() -> None:
    """A model whose outputs are others is not published beside it."""
    given = problem(ProblemKind.BINARY)
    blend = alone("linear", given)
    columns = columns_of(blend, list(given.features))
    inputs = model_inputs(SkopsModel(blend, columns, True, None), given.features)  # type: ignore[arg-type]
    expected = blend.predict_proba(given.features)[:, ::-1]
    with pytest.raises(NoTwinError, match="differs by up to"):
        twin_of(blend, columns, "probabilities", inputs, expected, Bounds(60))
