"""Forecasts from data to model."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from aimass.catalog.v1 import dataset_pb2
from common.data.schema import TimeSeries
from common.errors import InvalidFieldError
from common.models.package import load_package
from common.models.preprocessing import SeriesColumn, Target
from common.models.scaling import scaled
from common.models.store import read_part
from common.models.twin import run_onnx
from common.models.vectors import read_vectors
from common.scoring.series import Mase, Smape
from services.trainer.domain.forecasts.calendar import usual_horizon, usual_seasons
from services.trainer.domain.forecasts.objective import Forecasting
from services.trainer.domain.loss import Loss
from services.trainer.domain.objective import make_objectives
from services.trainer.worker.series import SeriesWindows
from tests.support.training import Desk
from tests.unit.trainer.forecasts.test_windows import in_order
from tests.unit.trainer.test_objective import metrics_of
from tests.unit.trainer.test_training import history_of, train_until

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2024-01-01T00", "us")
HOURLY = TimeSeries("time", "shop", (), "h", 2)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def hourly_data(
    desk: Desk, days: int = 12, time_series: TimeSeries | None = HOURLY
) -> dataset_pb2.DatasetVersion:
    """Two shops of unlike size whose day drifts; the last two days validate and test."""
    hours = 24 * days
    generator = np.random.default_rng(5)
    step = np.arange(hours)
    day = np.sin(2 * np.pi * step / 24) + 0.02 * step
    values = [size * (5 + day + 0.05 * generator.normal(size=hours)) for size in (1.0, 1_000.0)]
    columns = {
        "time": np.tile(START + step * HOUR, 2),
        "shop": np.repeat(np.array(["a", "b"], object), hours),
        "sales": np.concatenate(values),
    }
    parts = np.tile(in_order(hours, 24, 24), 2)
    return desk.series(columns, parts, "sales", time_series)


SPEC: dict[str, object] = {"forecast": {"horizon": 6, "window": 48}, "epochs": 3}


def forecasts_of(desk: Desk, spec: Mapping[str, object]) -> SeriesWindows:
    job = desk.job(hourly_data(desk), spec)
    dataset = desk.cache.table(job.data, desk.store)
    return SeriesWindows(dataset, job.preprocessing, job.specification)


def test_defaults_come_from_the_frequency(desk: Desk) -> None:
    """Protects what a user gets who names data and model only; resolving again changes nothing."""
    job = desk.job(hourly_data(desk, days=40), {})
    assert job.specification.task == "forecasting"
    forecast = job.specification.forecast
    assert forecast is not None
    assert (forecast.time_column, forecast.series_columns) == ("time", ("shop",))
    assert (forecast.horizon, forecast.season, forecast.window) == (48, 24, 336)
    network = job.specification.network
    assert network is not None and network.kind == "series_linear"
    assert (network.input.window, network.outputs) == (336, 48)


@pytest.mark.parametrize(
    ("frequency", "seasons", "horizon"),
    [("h", (24, 168), 48), ("15min", (4, 96), 12), ("MS", (12,), 18), ("QE", (4,), 8),
     ("3MS", (4,), 18), ("W", (52,), 13), ("YS", (), 6), ("", (), 12), ("7D", (), 14)],
)  # fmt: skip
def test_seasons_and_horizons_of_frequencies(
    frequency: str, seasons: tuple[int, ...], horizon: int
) -> None:
    """Protects the defaults that the contract states."""
    assert usual_seasons(frequency) == seasons
    assert usual_horizon(frequency) == horizon


def test_outputs_of_zero_are_the_seasonal_naive_forecast(desk: Desk) -> None:
    """Protects the baseline: the last season again and again, whatever is missing."""
    windows = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0], [7.0, 7.0, 7.0, 7.0, torch.nan]]).double()
    inputs, baseline, scale = scaled(windows, SeriesColumn(name="y", window=5, season=3), 4)
    assert baseline.tolist() == [[3, 4, 5, 3], [7, 7, 7, 7]]
    assert scale[:, 0].tolist() == [pytest.approx(2**0.5), 1.0]
    assert inputs[1].tolist() == [0, 0, 0, 0, 0]
    batch = forecasts_of(desk, SPEC).batch(np.array([60, 350]))
    wanted, truth, size, _ = batch.target.unbind(dim=1)
    assert float((wanted * size).abs().max()) < float(truth.abs().max())


def test_metrics_agree_with_those_of_the_tuner(desk: Desk) -> None:
    """Protects figures that are compared with the tuner's, summed over uneven parts."""
    rows = forecasts_of(desk, SPEC)
    numbers = rows.validation
    batch = rows.batch(numbers)
    torch.manual_seed(0)
    output = torch.randn(len(numbers), 6)
    found = metrics_of(Forecasting(), output, batch.target, batch.weight)
    wanted, truth, scale, error = (each.double().numpy() for each in batch.target.unbind(dim=1))
    said = truth + (output.double().numpy() - wanted) * scale
    history = np.zeros(1)
    smape = np.mean([Smape().loss(*each, history) for each in zip(truth, said, strict=True)])
    assert found["smape"] == pytest.approx(smape, rel=1e-4)
    assert found["mae"] == pytest.approx(mean_absolute_error(truth, said), rel=1e-4)
    assert found["rmse"] == pytest.approx(
        root_mean_squared_error(truth.ravel(), said.ravel()), 1e-4
    )
    assert found["mase"] == pytest.approx(np.mean(np.abs(said - truth) / error), rel=1e-4)
    own = Mase(24)
    first = hourly_values(desk)[: 24 * 10]
    assert error[0, 0] == pytest.approx(own.scale(first), rel=1e-5)


def hourly_values(desk: Desk) -> np.ndarray:
    job = desk.job(hourly_data(desk), SPEC, run="values")
    return desk.cache.table(job.data, desk.store).column("sales").astype(np.float64)


@pytest.mark.parametrize("kind", ["squared", "huber"])
def test_a_chosen_loss_looks_at_scaled_values(kind: str) -> None:
    """Protects `loss.regression` of forecasts: errors in deviations of each window."""
    target = torch.zeros(3, 4, 5)
    output = torch.full((3, 5), 0.5)
    loss = Loss.model_validate({"regression": kind})
    goal = Target(name="y", task="forecasting", horizon=5)
    objective = make_objectives(goal, loss, lambda *, evenly=False: np.ones(1)).learning
    expected = 0.25 if kind == "squared" else 0.125
    assert objective.losses(output, target).tolist() == [expected] * 3


@pytest.mark.parametrize("network", ["series_linear", "nbeats", "tcn"])
def test_forecasts_beat_the_seasonal_naive_one_and_the_package_makes_them(
    desk: Desk, network: str
) -> None:
    """Protects forecasts from data to twin: a drift that the last season does not know."""
    spec = {**SPEC, "network": {network: {}}}
    job = desk.job(hourly_data(desk), spec)
    rows = SeriesWindows(
        desk.cache.table(job.data, desk.store), job.preprocessing, job.specification
    )
    batch = rows.batch(rows.test)
    naive = metrics_of(Forecasting(), torch.zeros(len(rows.test), 6), batch.target, batch.weight)
    desk.train(job)
    version = desk.package(job)
    assert version.metrics["test/mase"] < 0.7 * naive["mase"]
    assert version.task == dataset_pb2.TASK_FORECASTING
    assert list(version.signature.inputs[0].shape) == [-1, 48]
    assert list(version.signature.outputs[0].shape) == [-1, 6]
    loaded = load_package(desk.store, version)
    inputs = read_vectors(version, desk.store).inputs
    found = loaded.predict(inputs)["prediction"].astype(np.float64)
    twin = run_onnx(read_part(version, "onnx", desk.store), inputs)
    np.testing.assert_allclose(twin.astype(np.float64), found, rtol=1e-5)
    raw = {name: each.numpy() for name, each in rows.raw(rows.test).items()}
    said = loaded.predict(raw)["prediction"].astype(np.float64)
    mae = np.abs(said - batch.target[:, 1].numpy()).mean()
    assert version.metrics["test/mae"] == pytest.approx(mae, rel=1e-4)


def test_a_killed_run_of_forecasts_goes_on_as_if_nothing_had_happened(desk: Desk) -> None:
    """Protects windows as a pure function of seed, epoch and step."""
    data = hourly_data(desk)
    spec = {**SPEC, "commit_steps": 5, "loss": {"regression": "huber"}}
    undisturbed, disturbed = (desk.job(data, spec, run=run) for run in ("undisturbed", "disturbed"))
    desk.train(undisturbed)
    train_until(desk, disturbed, 42)
    desk.train(disturbed)
    expected = history_of(desk, undisturbed)
    np.testing.assert_allclose(history_of(desk, disturbed), expected, rtol=1e-5)


def test_a_child_goes_on_from_its_parents_windows(desk: Desk) -> None:
    """Protects fine-tuning of forecasts: same window, horizon and season, or a clear error."""
    data = hourly_data(desk)
    job = desk.job(data, {**SPEC, "epochs": 1})
    desk.train(job)
    parent = desk.package(job)
    child = {**SPEC, "epochs": 1, "parent_model_version": parent.name}
    assert desk.job(data, child, parent=parent).preprocessing == job.preprocessing
    for forecast in ({"horizon": 6, "window": 40}, {"horizon": 6, "window": 48, "season": 12}):
        with pytest.raises(InvalidFieldError, match="parent_model_version"):
            desk.job(data, {**child, "forecast": forecast}, parent=parent)


def test_wrong_forecasts_are_named(desk: Desk) -> None:
    """Protects users from guessing which field is wrong."""
    data, bare = hourly_data(desk), hourly_data(desk, time_series=None)
    for given, spec, field, words in (
        (data, {"forecast": {"horizon": 300}}, "forecast.horizon", "at most"),
        (data, {"forecast": {"horizon": 6, "window": 530}}, "forecast.window", "shorter window"),
        (data, {"forecast": {"window": 12}}, "forecast.window", "season of 24"),
        (data, {"forecast": {"time_column": "shop"}}, "forecast.time_column", "categorical"),
        (data, {"forecast": {"time_column": "day"}}, "forecast.time_column", "no column `day`"),
        (data, {"forecast": {"time_column": "sales"}}, "forecast.time_column", "is the target"),
        (
            data,
            {"forecast": {"series_columns": ["shop", "time"]}},
            "forecast.series_columns[1]",
            "named twice",
        ),
        (data, {"target": "shop", "task": "forecasting"}, "target", "numbers"),
        (data, {"features": ["shop"]}, "features", "past_columns"),
        (data, {"task": "regression", "forecast": {}}, "forecast", "FORECASTING"),
        (data, {"monitor": "accuracy"}, "monitor", "no accuracy"),
        (data, {"loss": {"label_smoothing": 0.1}}, "loss.label_smoothing", "forecasting"),
        (data, {"network": {"mlp": {}}}, "network", "time series"),
        (bare, {"target": "sales", "task": "regression"}, "features", "timestamp"),
    ):
        with pytest.raises(InvalidFieldError, match=words) as caught:
            desk.job(given, spec)
        assert caught.value.violations[0].field == f"training_run.spec.{field}"


def test_without_a_frequency_the_only_timestamp_is_the_time(desk: Desk) -> None:
    """Protects data that were imported as a plain table."""
    job = desk.job(hourly_data(desk, time_series=None), {"forecast": {"series_columns": ["shop"]}})
    forecast = job.specification.forecast
    assert forecast is not None
    assert (forecast.time_column, forecast.season, forecast.horizon) == ("time", 1, 12)


def test_series_that_turn_out_too_short_end_the_run_with_the_reason(desk: Desk) -> None:
    """Protects from what only the data know: how long each single series is."""
    job = desk.job(hourly_data(desk), {"forecast": {"horizon": 6, "window": 280}})
    with pytest.raises(InvalidFieldError, match="the longest has 264 rows") as caught:
        desk.train(job)
    assert caught.value.reason == "SERIES_TOO_SHORT"
