"""Where the suite is, and its stubs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property

import grpc

from aimass.analyzer.v1 import analyzer_pb2_grpc
from aimass.catalog.v1 import dataset_pb2_grpc, lineage_pb2_grpc, model_pb2_grpc, transfer_pb2_grpc
from aimass.maintenance.v1 import maintenance_pb2_grpc
from aimass.outlier.v1 import outlier_pb2_grpc
from aimass.pruner.v1 import pruner_pb2_grpc
from aimass.trainer.v1 import trainer_pb2_grpc
from aimass.tuner.v1 import policy_pb2_grpc, study_pb2_grpc, tuner_pb2_grpc
from common.calls.client import connect_sync
from common.cli.errors import CliError
from common.local.home import Phase, SuiteHome


@dataclass(frozen=True)
class Endpoint:
    """How to reach a suite.

    Attributes:
        catalog_address: `host:port` of the catalog.
        trainer_address: `host:port` of the trainer.
        outlier_address: `host:port` of the outlier service.
        analyzer_address: `host:port` of the analyzer.
        tuner_address: `host:port` of the tuner.
        pruner_address: `host:port` of the pruner.
        token: Bearer token.
    """

    catalog_address: str
    trainer_address: str
    outlier_address: str
    analyzer_address: str
    tuner_address: str
    pruner_address: str
    token: str = field(repr=False)


def find_endpoint(home: SuiteHome) -> Endpoint:
    """Returns the suite that `AIMASS_*_ADDRESS` and `AIMASS_TOKEN` name, else the one of `home`.

    Raises:
        CliError: Neither is there.
    """
    given = {name: os.environ.get(variable, "") for name, variable in variables().items()}
    if all(given.values()):
        return Endpoint(**given)
    try:
        local = local_endpoint(home)
    except CliError as error:
        missing = [variable for name, variable in variables().items() if not given[name]]
        said = (f"{', '.join(missing)} is not set.",) if any(given.values()) else ()
        raise CliError(error.message, said, error.hint) from None
    return Endpoint(**{name: value or getattr(local, name) for name, value in given.items()})


def variables() -> dict[str, str]:
    """Returns the environment variable of each field of an endpoint."""
    return {each.name: f"AIMASS_{each.name.upper()}" for each in fields(Endpoint)}


def local_endpoint(home: SuiteHome) -> Endpoint:
    """Returns the suite that runs in a state folder.

    Raises:
        CliError: None runs there.
    """
    state = home.read_state()
    if state is None or not home.is_locked() or state.phase is not Phase.RUNNING:
        where = f"{home.path} ({state.phase})" if state else str(home.path)
        raise CliError(f"No suite runs in {where}.", hint="aimass up")
    return Endpoint(
        state.catalog_address,
        state.trainer_address,
        state.outlier_address,
        state.analyzer_address,
        state.tuner_address,
        state.pruner_address,
        home.tokens()["local"],
    )


class Clients:
    """The stubs of a suite; channels are opened when first used."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    @cached_property
    def _catalog(self) -> grpc.Channel:
        return connect_sync(self.endpoint.catalog_address, self.endpoint.token)

    @cached_property
    def _trainer(self) -> grpc.Channel:
        return connect_sync(self.endpoint.trainer_address, self.endpoint.token)

    @cached_property
    def _outlier(self) -> grpc.Channel:
        return connect_sync(self.endpoint.outlier_address, self.endpoint.token)

    @cached_property
    def _analyzer(self) -> grpc.Channel:
        return connect_sync(self.endpoint.analyzer_address, self.endpoint.token)

    @cached_property
    def _tuner(self) -> grpc.Channel:
        return connect_sync(self.endpoint.tuner_address, self.endpoint.token)

    @cached_property
    def _pruner(self) -> grpc.Channel:
        return connect_sync(self.endpoint.pruner_address, self.endpoint.token)

    @cached_property
    def maintenance(self) -> Mapping[str, maintenance_pb2_grpc.MaintenanceServiceStub]:
        """Housekeeping, by service."""
        channels = {
            "catalog": self._catalog,
            "trainer": self._trainer,
            "outlier": self._outlier,
            "analyzer": self._analyzer,
            "tuner": self._tuner,
            "pruner": self._pruner,
        }
        stub = maintenance_pb2_grpc.MaintenanceServiceStub
        return {service: stub(channel) for service, channel in channels.items()}

    @cached_property
    def analyses(self) -> analyzer_pb2_grpc.AnalyzerServiceStub:
        """Analyses and comparisons of models."""
        return analyzer_pb2_grpc.AnalyzerServiceStub(self._analyzer)

    @cached_property
    def datasets(self) -> dataset_pb2_grpc.DatasetServiceStub:
        """Data sets and their imports."""
        return dataset_pb2_grpc.DatasetServiceStub(self._catalog)

    @cached_property
    def lineage(self) -> lineage_pb2_grpc.LineageServiceStub:
        """What came from what."""
        return lineage_pb2_grpc.LineageServiceStub(self._catalog)

    @cached_property
    def models(self) -> model_pb2_grpc.ModelServiceStub:
        """Models."""
        return model_pb2_grpc.ModelServiceStub(self._catalog)

    @cached_property
    def outliers(self) -> outlier_pb2_grpc.OutlierServiceStub:
        """Outlier scans and detectors."""
        return outlier_pb2_grpc.OutlierServiceStub(self._outlier)

    @cached_property
    def policies(self) -> policy_pb2_grpc.PolicyServiceStub:
        """Policies that keep models good."""
        return policy_pb2_grpc.PolicyServiceStub(self._tuner)

    @cached_property
    def pruning(self) -> pruner_pb2_grpc.PrunerServiceStub:
        """Prunings."""
        return pruner_pb2_grpc.PrunerServiceStub(self._pruner)

    @cached_property
    def studies(self) -> study_pb2_grpc.StudyServiceStub:
        """Studies of what others try."""
        return study_pb2_grpc.StudyServiceStub(self._tuner)

    @cached_property
    def transfer(self) -> transfer_pb2_grpc.TransferServiceStub:
        """Uploads and downloads."""
        return transfer_pb2_grpc.TransferServiceStub(self._catalog)

    @cached_property
    def training(self) -> trainer_pb2_grpc.TrainingServiceStub:
        """Training runs and agents."""
        return trainer_pb2_grpc.TrainingServiceStub(self._trainer)

    @cached_property
    def tuning(self) -> tuner_pb2_grpc.TunerServiceStub:
        """Searches for models."""
        return tuner_pb2_grpc.TunerServiceStub(self._tuner)
