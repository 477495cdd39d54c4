"""A search for forecasts from its record to what it publishes, on a store in memory."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import put_artifact, read_artifact
from common.artifacts.memory import MemoryStore
from common.data.messages import schema_to_proto
from common.data.schema import Column, ColumnType, Schema, Task
from common.errors import FailedPreconditionError
from common.models.skops_model import SkopsModel, load_skops
from common.records import RecordStore
from services.tuner import job
from services.tuner.convert import specification_from_proto
from services.tuner.domain.forecasting.tuning import tune_forecast
from services.tuner.forecasts import searching
from services.tuner.forecasts.loading import LoadedSeries, load_series
from services.tuner.recording.recalling import Recalled
from tests.unit.tuner_service.test_job import FakeCatalog, attempt
from tests.unit.tuner_service.test_job_going_on import (
    KilledError,
    Spied,
    candidates,
    kill,
    known,
)

pytestmark = pytest.mark.slow

NAME, VERSION, MODEL = "tuningRuns/t", "datasets/d/versions/1", "models/m"
DAYS, HORIZON, TEST_DAYS, BUDGET = 84, 7, 10, 20
# Attempts end by their trials, not by their time: machines of tests are busy.
LONG_BUDGET, BEFORE_TRIALS, MORE_TRIALS = 300, 15, 4
SHOPS = ("a", "b")
FIRST = np.datetime64("2026-01-05", "us")
COLUMNS = (
    Column("day", ColumnType.TIMESTAMP),
    Column("shop", ColumnType.CATEGORICAL, categories=SHOPS, distinct_count=2),
    Column("sales", ColumnType.NUMERIC),
    Column("price", ColumnType.NUMERIC),
    Column("open", ColumnType.BOOLEAN),
    Column("note", ColumnType.TEXT),
)


def stored_version(store: MemoryStore, is_temporal: bool = True) -> dataset_pb2.DatasetVersion:
    """Stores two shops whose sales depend on the day of the week and the price, newest first."""
    generator = np.random.default_rng(0)
    step = np.tile(np.arange(DAYS)[::-1], len(SHOPS))
    shop = np.repeat(np.arange(len(SHOPS)), DAYS)
    price = generator.choice([1.0, 2.0], len(step))
    sales = 50.0 * (1 + shop) + 10.0 * (step % 7) - 5.0 * price + generator.normal(size=len(step))
    data = {
        "day": pa.array(FIRST + step * np.timedelta64(1, "D")),
        "shop": pa.array(np.array(SHOPS)[shop]),
        "sales": pa.array(np.where(step == 20, np.nan, sales)),
        "price": pa.array(price),
        "open": pa.array(step % 7 != 6),
        "note": pa.array([f"note {number}" for number in step]),
    }
    split = np.where(step >= DAYS - TEST_DAYS, 2, 0).astype(np.int8)
    shard = dataset_pb2.Shard(row_count=len(step))
    for part, columns in ((shard.data, data), (shard.split, {"split": pa.array(split)})):
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer)
        key = f"shards/{len(columns)}.parquet"
        part.CopyFrom(put_artifact(store, key, buffer.getvalue(), "application/octet-stream"))
    version = dataset_pb2.DatasetVersion(
        name=VERSION,
        row_count=len(step),
        schema=schema_to_proto(Schema(COLUMNS, Task.FORECASTING, "sales")),
        shards=[shard],
    )
    if is_temporal:
        version.split.method, version.split.column = dataset_pb2.SPLIT_METHOD_TEMPORAL, "day"
    return version


def spec_of(budget: int = BUDGET, continue_from: str = "", **forecast: Any) -> tuner_pb2.TuningSpec:
    """Returns a search as the service resolves it, in families that are quickly fitted."""
    usual: dict[str, Any] = {
        "time_column": "day",
        "series_columns": ["shop"],
        "horizon": HORIZON,
        "known_columns": ["price"],
    }
    spec = tuner_pb2.TuningSpec(
        dataset_version=VERSION,
        model=MODEL,
        targets=["sales"],
        kind=tuner_pb2.PROBLEM_KIND_FORECASTING,
        metric="mase",
        trial_memory_bytes=1 << 30,
        families=["naive", "linear_lags"],
        continue_from=continue_from,
        forecast=tuner_pb2.ForecastSpec(**(usual | forecast)),
    )
    spec.budget.FromSeconds(budget)
    return spec


def create_run(store: MemoryStore, name: str = NAME, **more: Any) -> None:
    """Adds a search; see `spec_of`."""
    run = tuner_pb2.TuningRun(name=name, spec=spec_of(**more), labels={"team": "blue"})
    run.status.state = run_pb2.RUN_STATE_PENDING
    run.status.create_time.GetCurrentTime()
    RecordStore(store).create(run)


def loaded(is_temporal: bool = True, **forecast: Any) -> LoadedSeries:
    store = MemoryStore()
    specification = specification_from_proto(spec_of(**forecast))
    return load_series(specification, stored_version(store, is_temporal), store, lambda: None)


def test_the_data_sets_own_test_rows_are_put_aside() -> None:
    found = loaded()
    assert [len(each.values) for each in found.whole.series] == [DAYS, DAYS]
    assert [len(each.values) for each in found.learned.series] == [DAYS - TEST_DAYS] * 2
    assert "from 2026-03-20 on" in found.notes[0]
    assert found.whole.labels == [("a",), ("b",)]
    assert found.whole.known == {"price"}
    assert [each.name for each in found.whole.names.covariates] == ["price", "open"]
    assert "2 of 168 steps have no value" in found.warnings[0]


def test_without_a_split_in_time_the_last_steps_are_put_aside() -> None:
    """Any other test rows lie among those that are learned from."""
    found = loaded(is_temporal=False)
    assert [len(each.values) for each in found.learned.series] == [DAYS - HORIZON] * 2
    assert "the last 7 steps of each series" in found.notes[0]


@pytest.mark.parametrize(
    ("forecast", "words"),
    [
        ({"series_columns": []}, "rows of the same time"),
        ({"season_lengths": [90]}, "more than the longest series"),
        ({"horizon": 90}, "no series that begins before"),
    ],
)
def test_what_cannot_be_forecast_says_why(forecast: dict[str, Any], words: str) -> None:
    with pytest.raises(FailedPreconditionError, match=words) as raised:
        loaded(is_temporal=False, **forecast)
    assert raised.value.reason == "DATA_CANNOT_BE_LEARNED"


@dataclass
class Done:
    """A search that succeeded.

    Attributes:
        catalog: What it asked.
        run: The search.
        model: What is in the catalog, opened as everybody else does.
    """

    catalog: FakeCatalog
    run: tuner_pb2.TuningRun
    model: SkopsModel

    @property
    def version(self) -> model_pb2.ModelVersion:
        """The model's record."""
        [found] = self.catalog.registered
        return found


@pytest.fixture(scope="module")
def done() -> Iterator[Done]:
    """See `Done`."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        store = MemoryStore()
        catalog = FakeCatalog(store, stored_version(store))
        monkeypatch.setattr(job, "ask_catalog", catalog.ask)
        create_run(store)
        ended = attempt(catalog)
        yield Done(catalog, ended, load_skops(store, catalog.registered[0]))


def test_the_summary_has_the_seasonal_naive_as_its_floor(done: Done) -> None:
    assert done.run.status.state == run_pb2.RUN_STATE_SUCCEEDED, done.run.status.error
    summary = done.run.summary
    assert list(summary.floor_scores) == ["seasonal_naive"]
    # Windows are averaged in two ways.
    assert summary.score.value <= 1.05 * summary.floor_scores["seasonal_naive"]
    assert 0 < summary.test_score.value < 2
    assert summary.row_count == 2 * (DAYS - TEST_DAYS - 1)
    assert "put aside" in summary.verdict and "from 2026-03-20" in summary.verdict
    assert "steps have no value" in summary.warnings[0]
    assert sum(each.weight for each in summary.members) == pytest.approx(1)


def test_the_model_is_a_forecaster_in_the_catalog(done: Done) -> None:
    """With the columns that it takes, by name: the target's past among them."""
    version = done.version
    assert version.task == dataset_pb2.TASK_FORECASTING
    names = [each.name for each in version.signature.inputs]
    assert names == ["shop", "day", "sales", "price", "open"]
    assert [each.name for each in version.signature.outputs] == ["prediction"]
    assert version.metrics["test/mase"] == done.run.summary.test_score.value
    assert version.labels["team"] == "blue"


def test_the_model_goes_on_from_the_newest_rows(done: Done) -> None:
    """Not from where the test rows begin; also where it is asked row by row."""
    found = done.model.estimator.forecast()
    first = pd.Timestamp(FIRST) + pd.Timedelta(days=DAYS)
    assert found["day"].min() == first and len(found) == HORIZON * len(SHOPS)
    asked = {
        "shop": np.array(["b"], dtype=object),
        "day": np.array([first.timestamp()]),
        "sales": np.array([np.nan]),
        "price": np.array([1.0]),
        "open": np.array([True]),
    }
    [told] = done.model.predict(asked)["prediction"].tolist()
    assert 60 < told < 170


def test_candidates_and_page_are_kept(done: Done) -> None:
    store, run = done.catalog.store, done.run
    content = b"".join(read_artifact(store, run.candidates))
    listed = tuner_pb2.ListCandidatesResponse.FromString(content).candidates
    assert {each.family for each in listed} <= {"naive", "linear_lags"} and listed[0].fold_count
    page = b"".join(read_artifact(store, run.report)).decode()
    for words in ("Forecasts and truth", "Error by step", "the last season again", NAME, VERSION):
        assert words in page
    assert "This cannot be shown" not in page


def spied(monkeypatch: pytest.MonkeyPatch, most: int, ends: Callable[[], None]) -> Spied:
    """Returns a search that ends after some trials, and is published by half."""
    monkeypatch.setattr(searching, "forecast_page", lambda *arguments: "")
    monkeypatch.setattr(searching, "packaged", lambda *arguments: None)
    monkeypatch.setattr(searching, "store_package", lambda *arguments: model_pb2.ModelVersion())
    found = Spied(most, ends, tune_forecast)
    monkeypatch.setattr(searching, "tune_forecast", found)
    return found


def nothing() -> None:
    """Ends as usual."""


def test_what_was_forecast_before_a_kill_is_not_forecast_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither by the floor nor by others; the leaderboard has the trials of both attempts."""
    store = MemoryStore()
    catalog = FakeCatalog(store, stored_version(store))
    monkeypatch.setattr(job, "ask_catalog", catalog.ask)
    create_run(store, budget=LONG_BUDGET)
    first = spied(monkeypatch, BEFORE_TRIALS, lambda: kill(catalog, tmp_path, BEFORE_TRIALS))
    with pytest.raises(KilledError):
        attempt(catalog)
    second = spied(monkeypatch, MORE_TRIALS, nothing)
    run = attempt(catalog)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED and run.status.attempt == 2
    assert any(number > 0 for number, _ in first.fitted)
    assert not set(first.fitted) & set(second.fitted)
    library = second.found[0].library
    for (number, fold), result in first.fitted.items():
        assert library.entries[number].candidate == result.task.candidate
        assert library.entries[number].results[fold].loss == result.loss
    assert set(known(catalog, tmp_path)) == {*first.fitted, *second.fitted}
    assert {number for number, _ in first.fitted} <= set(candidates(catalog, run))
    assert run.summary.trial_count == len(first.fitted) + len(second.fitted)
    assert run.summary.floor_scores


def test_no_model_of_a_trial_is_kept(done: Done, tmp_path: Path) -> None:
    """All is learned once more in the end."""
    found = Recalled(done.catalog.store, NAME, tmp_path).earlier().entries
    assert found and not any(trial.model_path for each in found for trial in each.results)


def test_a_search_goes_on_from_another(
    done: Done, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On the same data nothing is forecast again."""
    create_run(done.catalog.store, "tuningRuns/after", budget=LONG_BUDGET, continue_from=NAME)
    before = known(done.catalog, tmp_path)
    after = spied(monkeypatch, MORE_TRIALS, nothing)
    run = attempt(done.catalog, "tuningRuns/after")
    # A quick machine may have left nothing to try that rows tell apart.
    assert before and not set(before) & set(after.fitted)
    listed = candidates(done.catalog, run)
    continued = {
        number
        for number, each in listed.items()
        if each.origin == tuner_pb2.CANDIDATE_ORIGIN_CONTINUED
    }
    assert continued == {number for number, _ in before}


def test_of_another_horizon_what_was_found_is_tried_first(
    done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its windows are others: everything is forecast anew, the floor before all."""
    name = "tuningRuns/shorter"
    create_run(
        done.catalog.store, name, budget=LONG_BUDGET, continue_from=NAME, horizon=HORIZON - 2
    )
    after = spied(monkeypatch, BEFORE_TRIALS, nothing)
    run = attempt(done.catalog, name)
    found = candidates(done.catalog, done.run).values()
    known_too = [(each.family, dict(each.settings)) for each in found]
    listed = candidates(done.catalog, run).values()
    assert all((each.family, dict(each.settings)) in known_too for each in listed)
    assert tuner_pb2.CANDIDATE_ORIGIN_CONTINUED in {each.origin for each in listed}
    assert (0, 0) in after.fitted
