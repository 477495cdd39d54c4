"""A scan's attempts: what one leaves is there for the next."""

import io
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.outlier.v1 import detector_pb2, outlier_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import put_artifact, read_artifact
from common.artifacts.memory import MemoryStore
from common.data.messages import schema_to_proto
from common.data.schema import Column, ColumnType, Schema
from common.errors import UnavailableError
from common.records import RecordStore
from common.runs.owner import RunOwner
from common.runs.publishing import settle_request
from services.outlier import job, known
from services.outlier.kind import OUTLIER_SCANS
from tests.support.asking import AskedCatalog

NAME = "outlierScans/s"
VERSION = "datasets/d/versions/1"
COUNT = 200

Scan = outlier_pb2.OutlierScan


@dataclass
class FakeCatalog(AskedCatalog):
    """Knows one data set version; its registry can be away."""

    store: MemoryStore
    version: dataset_pb2.DatasetVersion
    is_away: bool = False
    registered: list[model_pb2.ModelVersion] = field(default_factory=list)

    async def dataset_version(self, name: str) -> dataset_pb2.DatasetVersion:
        """Returns the version."""
        return self.version

    async def register(
        self, owner: RunOwner[Scan], model: str, version: model_pb2.ModelVersion
    ) -> model_pb2.ModelVersion:
        """Registers what was settled first."""
        request = settle_request(self.store, owner.run, model, version)
        if self.is_away:
            raise UnavailableError("The catalog cannot be reached.")
        made = request.model_version
        made.name = f"{model}/versions/1"
        self.registered.append(made)
        return made


def stored_version(store: MemoryStore) -> dataset_pb2.DatasetVersion:
    """Stores two columns of numbers."""
    generator = np.random.default_rng(0)
    data = {name: generator.normal(size=COUNT) for name in ("a", "b")}
    split = {"split": np.zeros(COUNT, np.int8)}
    shard = dataset_pb2.Shard(row_count=COUNT)
    for part, columns in ((shard.data, data), (shard.split, split)):
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer)
        key = f"shards/{len(columns)}.parquet"
        part.CopyFrom(put_artifact(store, key, buffer.getvalue(), "application/octet-stream"))
    schema = Schema(tuple(Column(name, ColumnType.NUMERIC) for name in data))
    return dataset_pb2.DatasetVersion(
        name=VERSION, row_count=COUNT, schema=schema_to_proto(schema), shards=[shard]
    )


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> FakeCatalog:
    """The catalog that scans ask, in front of a store that has a scan to work on."""
    store = MemoryStore()
    catalog = FakeCatalog(store, stored_version(store))
    for module in (job, known):
        monkeypatch.setattr(module, "ask_catalog", catalog.ask)
    spec = outlier_pb2.OutlierScanSpec(
        dataset_version=VERSION,
        columns=["a", "b"],
        detectors=[detector_pb2.DetectorSpec(ecod=detector_pb2.Ecod())],
        model="models/m",
    )
    scan = Scan(name=NAME, spec=spec)
    scan.status.state = run_pb2.RUN_STATE_PENDING
    scan.status.create_time.GetCurrentTime()
    RecordStore(store).create(scan)
    return catalog


def attempt(catalog: FakeCatalog) -> Scan:
    """Works on the scan once. Returns it as it is then."""
    owner = RunOwner.acquire(OUTLIER_SCANS, NAME, catalog.store)
    try:
        job.run_scan(owner)
    finally:
        if not owner.ended:
            owner.abandon()
    return RecordStore(catalog.store).get(NAME, Scan).resource


def test_detector_of_an_attempt_that_could_not_register_it_is_kept(catalog: FakeCatalog) -> None:
    """The next attempt registers what the first one settled, whose files must still be there."""
    catalog.is_away = True
    with pytest.raises(UnavailableError):
        attempt(catalog)
    catalog.is_away = False
    scan = attempt(catalog)
    assert scan.status.state == run_pb2.RUN_STATE_SUCCEEDED
    assert scan.model_version == "models/m/versions/1"
    (registered,) = catalog.registered
    for artifact in registered.artifacts.values():
        assert b"".join(read_artifact(catalog.store, artifact))


def test_failed_attempt_leaves_nothing(
    catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no version can refer to yet goes with the attempt."""

    def fail(*arguments: object) -> None:
        raise ValueError("no page")

    monkeypatch.setattr(job, "scan_page", fail)
    with pytest.raises(ValueError, match="no page"):
        attempt(catalog)
    assert not [info.key for info in catalog.store.list(f"runs/{NAME}/") if "/scan/" in info.key]
