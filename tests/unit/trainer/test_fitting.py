from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.data.schema import Task
from common.errors import InvalidFieldError
from services.trainer.domain.fitting import Moments
from tests.support.training import Desk, split_parts

VALUES = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=40)


@given(values=VALUES, cut=st.integers(0, 40))
def test_moments_of_pieces_are_those_of_the_whole(values: list[float], cut: int) -> None:
    """Protects statistics over many shards, missing values and empty pieces included."""
    series = np.array([values])
    moments = Moments.of(series[:, :cut])
    moments.merge(Moments.of(series[:, cut:]))
    known = series[~np.isnan(series)]
    if len(known):
        assert moments.mean[0] == pytest.approx(known.mean(), rel=1e-9, abs=1e-6)
        if known.std() > 1e-3:
            assert moments.scales()[0] == pytest.approx(known.std(), rel=1e-6)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_statistics_come_from_training_rows_only(desk: Desk) -> None:
    """Protects validation: nothing of its rows leaks into the preprocessing."""
    parts = split_parts(50, validation=0.4)
    values = np.where(parts == 0, np.arange(50.0), 1e6)
    cities = np.where(parts == 0, "seen", "unseen").astype(object)
    cities[np.flatnonzero(parts == 0)[0]] = None
    data = desk.dataset(
        {"a": values, "city": cities, "y": np.arange(50.0)}, parts, "y", Task.REGRESSION
    )
    preprocessing = desk.job(data, {"network": {"linear": {}}}).preprocessing
    (column,) = preprocessing.numeric
    assert column.mean == pytest.approx(values[parts == 0].mean())
    assert column.scale == pytest.approx(values[parts == 0].std())
    assert preprocessing.categorical[0].labels == ("seen",)
    assert preprocessing.categorical[0].size == 3
    assert preprocessing.target.mean == pytest.approx(np.arange(50.0)[parts == 0].mean())


def test_constant_and_empty_columns_are_safe(desk: Desk) -> None:
    """Protects from a division by zero."""
    gaps = np.full(20, np.nan)
    gaps[0] = 7.0
    parts = np.zeros(20, np.uint8)
    parts[0] = 1
    columns = {"constant": np.full(20, 0.1), "empty": gaps, "y": np.full(20, 3.0)}
    data = desk.dataset(columns, parts, "y", Task.REGRESSION)
    preprocessing = desk.job(data, {}).preprocessing
    assert [column.scale for column in preprocessing.numeric] == [1.0, 1.0]
    assert preprocessing.numeric[1].mean == 0
    assert preprocessing.target.scale == 1.0


def test_image_channels_have_mean_and_deviation(desk: Desk) -> None:
    """Protects the scaling of images, exact in whole numbers."""
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 5, 4), dtype=np.uint8)
    labels = np.array([str(index % 2) for index in range(30)], object)
    parts = split_parts(30)
    data = desk.dataset({"image": images, "label": labels}, parts, "label")
    image = desk.job(data, {}).preprocessing.image
    assert image is not None
    shares = images[parts == 0] / 255
    assert image.mean == pytest.approx(shares.mean(axis=(0, 2, 3)))
    assert image.scale == pytest.approx(shares.std(axis=(0, 2, 3)))


def test_classes_are_sorted_labels_also_of_numbers(desk: Desk) -> None:
    """Protects the order of outputs; numbers sort as numbers and read as whole ones."""
    target = np.array([10.0, 2.0, 2.5, 10.0, 2.0, 2.5])
    columns = {"a": np.arange(6.0), "y": target}
    data = desk.dataset(columns, np.zeros(6, np.uint8), "y")
    assert desk.job(data, {}).preprocessing.target.classes == ("2", "2.5", "10")


def test_training_rows_of_one_class_are_refused(desk: Desk) -> None:
    """Protects from a run that cannot learn, though the data have two classes."""
    labels = np.array(["a"] * 9 + ["b"], object)
    parts = np.array([0] * 9 + [1], np.uint8)
    data = desk.dataset({"x": np.arange(10.0), "y": labels}, parts, "y")
    with pytest.raises(InvalidFieldError, match="only one class"):
        desk.job(data, {})
