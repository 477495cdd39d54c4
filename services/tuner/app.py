"""Composition root of the tuner: the one place that wires things together."""

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from aimass.catalog.v1 import dataset_pb2_grpc, model_pb2_grpc
from aimass.outlier.v1 import outlier_pb2_grpc
from aimass.tuner.v1 import tuner_pb2_grpc
from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.calls import client
from common.config import ClientSettings
from common.host.single_threaded import SINGLE_THREADED
from common.maintenance.leftovers import RunLeftovers
from common.maintenance.servicer import maintenance_service
from common.maintenance.sweeping import Sweeps, SweepSettings
from common.records import RecordStore
from common.runs.executor import ExecutorTimes
from common.runs.hosting import hosted_runs
from common.serving.server import Service
from services.tuner.champion.checking import Champions
from services.tuner.config import TunerSettings
from services.tuner.kind import TUNING_RUNS
from services.tuner.policy.hosting import hosted_policies
from services.tuner.portfolio import OwnPortfolio
from services.tuner.results import CandidatePages
from services.tuner.servicer import TunerServicer
from services.tuner.study.hosting import hosted_studies
from services.tuner.validation import Validator

_JOB = (sys.executable, "-m", "services.tuner.job")
# A search that is cancelled blends and publishes what it has by then.
_TIMES = ExecutorTimes(cancel_grace=30.0)


@asynccontextmanager
async def app() -> AsyncIterator[Sequence[Service]]:
    """Opens what the tuner needs, and closes it afterwards.

    Yields:
        The services to serve.
    """
    # Each trial has one core; threads of their own would only wait for each other.
    for name, value in SINGLE_THREADED.items():
        os.environ.setdefault(name, value)  # of the processes that are started from here
    reach, settings = ClientSettings(), TunerSettings()
    store = open_store(StoreSettings())
    records = RecordStore(store)
    leftovers = RunLeftovers(TUNING_RUNS, store, records, SweepSettings().attempt_keep)
    sweeps = Sweeps(store, "tuner", [leftovers])
    limit, spares = settings.tuner_max_runs, int(settings.tuner_warm)
    async with (
        client.connect(reach.catalog_address, reach.token) as catalog,
        client.connect(reach.outlier_address, reach.token) as outlier,
        sweeps.each_hour(),
        hosted_runs(TUNING_RUNS, store, records, _JOB, limit, spares, _TIMES) as runs,
        hosted_studies(store, records) as studies,
    ):
        champions = Champions(model_pb2_grpc.ModelServiceStub(catalog), store, records)
        datasets = dataset_pb2_grpc.DatasetServiceStub(catalog)
        scans = outlier_pb2_grpc.OutlierServiceStub(outlier)
        validator = Validator(datasets, scans, champions, runs.get)
        servicer = TunerServicer(runs, validator, CandidatePages(store), OwnPortfolio(store))
        seconds = settings.tuner_policy_seconds
        async with hosted_policies(catalog, outlier, records, runs, validator, seconds) as policies:
            yield [
                Service(
                    "aimass.tuner.v1.TunerService",
                    partial(tuner_pb2_grpc.add_TunerServiceServicer_to_server, servicer),
                ),
                studies,
                policies,
                maintenance_service(sweeps),
            ]
