"""Pictures told in numbers, and networks over data frames, as estimators that skops keeps."""

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from common.models.estimators.blending import BlendedClassifier, BlendGroup
from common.models.estimators.picture_cells import cells_of, pictures_of
from common.models.estimators.picture_columns import GROUPS, PictureColumns
from common.models.inputs import MisfitError, inputs_of_rows
from common.models.sample_rows import SampleRows
from common.models.skops_model import SkopsModel, open_skops
from services.catalog.domain.model_inputs import sample_inputs

ROWS, SHAPE = 60, (3, 12, 16)


def pictures(seed: int = 0) -> np.ndarray:
    """Returns pictures of which every other has a bright right half."""
    found = np.random.default_rng(seed).integers(0, 100, (ROWS, *SHAPE))
    found[::2, :, :, 8:] += 120
    return found.astype(np.uint8)


def frame(some: np.ndarray) -> pd.DataFrame:
    """Returns a data frame of pictures beside a number."""
    cells = pd.Series(cells_of(some), dtype=object)
    return pd.DataFrame({"size": np.arange(len(some), dtype=float), "photo": cells})


@pytest.fixture(scope="module")
def teller() -> PictureColumns:
    return PictureColumns({"photo": SHAPE}, patches=20, columns=8).fit(frame(pictures()))


def test_cells_are_the_pictures() -> None:
    some = pictures()
    assert np.array_equal(pictures_of(cells_of(some), SHAPE), some)
    with pytest.raises(ValueError, match="1 of 2 cells"):
        pictures_of([some[0].tobytes(), float("nan")], SHAPE)


def test_what_is_told_stands_beside_the_columns(teller: PictureColumns) -> None:
    told = teller.transform(frame(pictures()))
    assert list(told.columns[:2]) == ["size", "photo"]
    assert [name.rsplit(".", 2)[1] for name in told.columns[2:]] == [
        group for group in GROUPS for _ in range(8)
    ]
    assert np.isfinite(told.iloc[:, 2:].to_numpy(np.float64)).all()


def test_a_picture_is_told_alone_as_among_others(teller: PictureColumns) -> None:
    rows = frame(pictures(1))
    among = teller.transform(rows).iloc[[3], 2:].to_numpy(np.float64)
    alone = teller.transform(rows.iloc[[3]]).iloc[:, 2:].to_numpy(np.float64)
    assert np.allclose(among, alone, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 64), (4, 100, 70)])
def test_pictures_of_any_shape_are_told(shape: tuple[int, ...]) -> None:
    some = np.random.default_rng(0).integers(0, 256, (12, *shape)).astype(np.uint8)
    told = PictureColumns({"photo": shape}, patches=10, columns=4).fit_transform(frame(some))
    assert len(told) == 12


@pytest.fixture(scope="module")
def model(teller: PictureColumns) -> SkopsModel:
    """A model of pictures as every other program opens it."""
    told = teller.transform(frame(pictures())).drop(columns=["photo"])
    names = [name for name in told.columns if name != "size"]
    fitted = Pipeline([("model", LogisticRegression())]).fit(told[names], np.arange(ROWS) % 2)
    blend = BlendedClassifier.of([BlendGroup([fitted], 1.0)], names, ["bright", "dark"])
    chain = Pipeline([("pictures", teller), ("model", blend)])
    return open_skops(skops.io.dumps(chain), "model")


def test_a_kept_model_takes_pictures_by_name(model: SkopsModel) -> None:
    [size, photo] = model.signature.inputs
    assert (size.name, size.dtype, list(size.shape)) == ("size", "float64", [-1])
    assert (photo.name, photo.dtype, list(photo.shape)) == ("photo", "uint8", [-1, *SHAPE])
    rows = SampleRows({"size": np.zeros(ROWS)}, {"photo": pictures(2)})
    found = model.predict(inputs_of_rows(model, rows))["probabilities"]
    assert (found.argmax(axis=1) == np.arange(ROWS) % 2).all()


def test_other_pictures_are_refused(model: SkopsModel) -> None:
    rows = SampleRows({"size": np.zeros(2)}, {"photo": np.zeros((2, 3, 4, 4), np.uint8)})
    with pytest.raises(MisfitError, match="3 x 4 x 4"):
        inputs_of_rows(model, rows)
    with pytest.raises(MisfitError, match="no pictures"):
        inputs_of_rows(model, SampleRows({"size": np.zeros(2)}))


def test_it_can_be_tried_without_data(model: SkopsModel) -> None:
    """As on an import from elsewhere: on random pictures of its size."""
    inputs = sample_inputs(model, None)
    assert inputs["photo"].shape[1:] == SHAPE and inputs["photo"].dtype == np.uint8
    assert np.isfinite(model.predict(inputs)["probabilities"]).all()
