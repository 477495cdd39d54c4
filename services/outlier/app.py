"""Composition root of the outlier service: the one place that wires things together."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from aimass.catalog.v1 import dataset_pb2_grpc, model_pb2_grpc
from aimass.outlier.v1 import outlier_pb2, outlier_pb2_grpc, scorer_pb2
from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.calls import client
from common.config import ClientSettings
from common.maintenance.leftovers import RunLeftovers
from common.maintenance.servicer import maintenance_service
from common.maintenance.sweeping import Sweeps, SweepSettings
from common.records import RecordStore
from common.runs.hosting import hosted_runs
from common.serving.server import Service
from common.serving.warming import warmed
from services.outlier.anomalies import AnomalyPages
from services.outlier.config import OutlierSettings
from services.outlier.feedback import FeedbackBox
from services.outlier.kind import OUTLIER_SCANS
from services.outlier.pool import ScorerPool
from services.outlier.scoring import Scoring
from services.outlier.servicer import OutlierServicer
from services.outlier.subjects import Subjects
from services.outlier.validation import Validator

_JOB = (sys.executable, "-m", "services.outlier.job")
_SCORER = (sys.executable, "-m", "services.outlier.scorer")


@asynccontextmanager
async def app() -> AsyncIterator[Sequence[Service]]:
    """Opens what the outlier service needs, and closes it afterwards.

    Yields:
        The services to serve.
    """
    reach, settings = ClientSettings(), OutlierSettings()
    store = open_store(StoreSettings())
    records = RecordStore(store)
    leftovers = RunLeftovers(OUTLIER_SCANS, store, records, SweepSettings().attempt_keep)
    sweeps = Sweeps(store, "outlier", [leftovers])
    limit, spares = settings.outlier_max_scans, int(settings.outlier_warm)
    async with (
        client.connect(reach.catalog_address, reach.token) as catalog,
        ScorerPool(_SCORER, settings.outlier_scorers, settings.outlier_scorer_seconds) as scorers,
        warmed(partial(_import_all, scorers), settings.outlier_warm),
        sweeps.each_hour(),
        hosted_runs(OUTLIER_SCANS, store, records, _JOB, limit, spares) as runs,
    ):
        subjects = Subjects(model_pb2_grpc.ModelServiceStub(catalog), records, scorers)
        servicer = OutlierServicer(
            runs,
            Validator(dataset_pb2_grpc.DatasetServiceStub(catalog), scorers),
            Scoring(scorers, subjects),
            scorers,
            AnomalyPages(store),
            subjects,
            FeedbackBox(store, records),
            records,
        )
        yield [
            Service(
                "aimass.outlier.v1.OutlierService",
                partial(outlier_pb2_grpc.add_OutlierServiceServicer_to_server, servicer),
            ),
            maintenance_service(sweeps),
        ]


async def _import_all(scorers: ScorerPool) -> None:
    """Starts a scorer, whose imports take their time."""
    question = scorer_pb2.ScorerQuestion(list_detectors=outlier_pb2.ListDetectorsRequest())
    await scorers.ask(question, outlier_pb2.ListDetectorsResponse)
