"""Columns beside a series: known of the past alone, or of the future as well."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from aimass.catalog.v1 import dataset_pb2
from common.data.schema import TimeSeries
from common.errors import InvalidFieldError
from common.models.package import load_package
from common.models.store import read_part
from common.models.twin import run_onnx
from common.networks.modules import build_network
from common.networks.specification import NetworkInput, NetworkSpecification, complete
from services.trainer.domain.forecasts.specification import Forecast
from services.trainer.domain.forecasts.windows import training_rows
from services.trainer.worker.series import SeriesWindows
from tests.support.training import Array, Desk
from tests.unit.trainer.forecasts.test_windows import in_order
from tests.unit.trainer.test_training import history_of, train_until

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2024-01-01T00", "us")
HOURS = 24 * 14
KNOWN = {"horizon": 6, "window": 24, "season": 24, "known_columns": ["price", "open"]}
PAST = {"horizon": 6, "window": 24, "season": 24, "past_columns": ["early"]}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def sales(desk: Desk, shift: float = 0.0) -> dataset_pb2.DatasetVersion:
    """Two shops whose sales follow the price, and what was seen six hours before.

    Args:
        desk: Where it is stored.
        shift: What is added to the price in validation and test part.
    """
    generator = np.random.default_rng(3)
    columns: dict[str, list[Array]] = {
        name: [] for name in ("time", "shop", "price", "open", "early", "sales")
    }
    parts = in_order(HOURS, 24, 48)
    for shop, size in (("a", 1.0), ("b", 50.0)):
        price, early = generator.normal(size=HOURS), generator.normal(size=HOURS)
        is_open = generator.random(HOURS) < 0.5
        effect = -2.0 * price + 3.0 * is_open + 2.0 * np.roll(early, 6)
        wave = np.sin(2 * np.pi * np.arange(HOURS) / 24)
        told = price + shift * (parts > 0)
        columns["time"].append(START + np.arange(HOURS) * HOUR)
        columns["shop"].append(np.full(HOURS, shop, object))
        columns["price"].append(np.where(generator.random(HOURS) < 0.02, np.nan, told))
        columns["open"].append(is_open)
        columns["early"].append(early)
        columns["sales"].append(size * (9 + wave + effect))
    joined = {name: np.concatenate(pieces) for name, pieces in columns.items()}
    series = TimeSeries("time", "shop", ("price", "open", "early"), "h", 2)
    return desk.series(joined, np.tile(parts, 2), "sales", series)


def desk_in(folder: Path) -> Desk:
    folder.mkdir()
    return Desk(folder)


def error_of(desk: Desk, forecast: Mapping[str, object], network: str) -> float:
    job = desk.job(
        sales(desk),
        {
            "forecast": forecast,
            "network": {network: {}},
            "epochs": 6,
            "batch_size": 64,
            "optimizer": {"learning_rate": 0.003},
        },
    )
    return desk.train(job).metrics["validation/mase"]


@pytest.mark.parametrize("network", ["series_linear", "nbeats", "tcn"])
def test_what_is_known_beside_a_series_makes_forecasts_better(tmp_path: Path, network: str) -> None:
    """Protects all kinds of networks alike: past columns and known ones both reach the output."""
    plain = {name: value for name, value in PAST.items() if name != "past_columns"}
    errors = [
        error_of(desk_in(tmp_path / name), forecast, network)
        for name, forecast in (("plain", plain), ("known", KNOWN), ("past", PAST))
    ]
    assert errors[1] < 0.9 * errors[0], "known ahead"
    assert errors[2] < 0.95 * errors[0], "known of the past"


def test_package_and_twin_take_raw_columns(desk: Desk) -> None:
    """Protects predictions: raw values, gaps among them, give what the trainer measured."""
    forecast = {**KNOWN, **PAST}
    job = desk.job(sales(desk), {"forecast": forecast, "epochs": 1})
    desk.train(job)
    version = desk.package(job)
    shapes = {each.name: list(each.shape) for each in version.signature.inputs}
    assert shapes == {"series": [-1, 24], "past": [-1, 24, 1], "known": [-1, 30, 2]}
    rows = SeriesWindows(
        desk.cache.table(job.data, desk.store), job.preprocessing, job.specification
    )
    raw = {name: each.numpy() for name, each in rows.raw(rows.test).items()}
    assert np.isnan(raw["known"]).any()
    said = load_package(desk.store, version).predict(raw)["prediction"].astype(np.float64)
    twin = run_onnx(read_part(version, "onnx", desk.store), raw).astype(np.float64)
    np.testing.assert_allclose(twin, said, rtol=1e-4)
    mae = np.abs(said - rows.batch(rows.test).target[:, 1].numpy()).mean()
    assert version.metrics["test/mae"] == pytest.approx(mae, rel=1e-4)


def test_scales_know_nothing_of_later_rows(tmp_path: Path) -> None:
    """Protects honest figures: what comes in validation and test part changes no scale."""
    desks = desk_in(tmp_path / "one"), desk_in(tmp_path / "other")
    found = [
        desk.job(sales(desk, shift), {"forecast": KNOWN})
        for desk, shift in zip(desks, (0.0, 1_000.0), strict=True)
    ]
    assert found[0].preprocessing == found[1].preprocessing
    series = found[0].preprocessing.series
    assert series is not None and abs(series.known[0].mean) < 1


def test_rows_that_train_are_those_before_the_validation_part() -> None:
    """Protects scales where the split is not in order of time: its parts do not count."""
    times = np.random.default_rng(0).permutation(40)
    forecast = Forecast(horizon=3, window=4, season=1)
    at_random = np.random.default_rng(1).integers(0, 3, 40).astype(np.uint8)
    assert sorted(times[training_rows(times, [], at_random, forecast)]) == [*range(34)]
    parts = in_order(40, 5, 6)[times]
    assert sorted(times[training_rows(times, [], parts, forecast)]) == [*range(29)]


@pytest.mark.parametrize("kind", ["series_linear", "nbeats", "tcn"])
def test_an_untrained_network_says_that_columns_do_nothing(kind: str) -> None:
    """Protects the start: all kinds begin at the seasonal naive forecast."""
    network_input = NetworkInput(window=12, past_columns=1, known_columns=2, season=4)
    specification = complete(
        NetworkSpecification.model_validate({kind: {}}), network_input, 3, "network"
    )
    inputs = torch.randn(5, 12), torch.randn(5, 12, 1), torch.randn(5, 15, 2)
    assert build_network(specification)(*inputs).abs().max() == 0


def test_a_killed_run_with_covariates_goes_on_as_if_nothing_had_happened(desk: Desk) -> None:
    """Protects windows with columns beside them as a pure function of seed, epoch and step."""
    data = sales(desk)
    spec = {
        "forecast": {**KNOWN, **PAST},
        "network": {"tcn": {"channels": [4, 4]}},
        "augmentation": {"policies": [{"jitter": {}}, {"scaling": {}}]},
        "epochs": 2,
        "commit_steps": 5,
    }
    undisturbed, disturbed = (desk.job(data, spec, run=run) for run in ("undisturbed", "disturbed"))
    desk.train(undisturbed)
    train_until(desk, disturbed, 42)
    desk.train(disturbed)
    expected = history_of(desk, undisturbed)
    np.testing.assert_allclose(history_of(desk, disturbed), expected, rtol=1e-5)


def test_wrong_columns_are_named(desk: Desk) -> None:
    """Protects users from guessing which column is wrong, and how to mend it."""
    data = sales(desk)
    base = {"horizon": 6, "window": 24}
    for more, field, words in (
        ({"past_columns": ["costs"]}, "forecast.past_columns[0]", "no column `costs`"),
        ({"known_columns": ["sales"]}, "forecast.known_columns[0]", "is the target already"),
        ({"known_columns": ["time"]}, "forecast.known_columns[0]", "is the time already"),
        ({"past_columns": ["shop"]}, "forecast.past_columns[0]", "the name of a series"),
        (
            {"past_columns": ["early"], "known_columns": ["price", "early"]},
            "forecast.known_columns[1]",
            "in `past_columns` already",
        ),
        (
            {"known_columns": ["shop"], "series_columns": ["open"]},
            "forecast.known_columns[0]",
            "0 and 1",
        ),
    ):
        with pytest.raises(InvalidFieldError, match=words) as caught:
            desk.job(data, {"forecast": {**base, **more}})
        assert caught.value.violations[0].field == f"training_run.spec.{field}"
    moving = {"forecast": KNOWN, "augmentation": {"policies": [{"time_warp": {}}]}}
    with pytest.raises(InvalidFieldError, match="use jitter or scaling"):
        desk.job(data, moving)


def test_a_child_takes_its_parents_columns(desk: Desk) -> None:
    """Protects fine-tuning: the same columns in the same order, scaled as they were."""
    data = sales(desk)
    spec: dict[str, object] = {"forecast": KNOWN, "epochs": 1}
    job = desk.job(data, spec)
    desk.train(job)
    parent = desk.package(job)
    child = {**spec, "parent_model_version": parent.name}
    assert desk.job(data, child, parent=parent).preprocessing == job.preprocessing
    turned = {**KNOWN, "known_columns": ["open", "price"]}
    with pytest.raises(InvalidFieldError, match="known_columns` price, open"):
        desk.job(data, {**child, "forecast": turned}, parent=parent)
