"""Where the suite is, and its stubs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from common.services import ADDRESS_VARIABLES, SERVICE_PORTS

TOKEN_VARIABLE = "AIMASS_TOKEN"
VARIABLES = (*ADDRESS_VARIABLES.values(), TOKEN_VARIABLE)
"""What `aimass env` prints, and what names a suite that is elsewhere."""


@dataclass(frozen=True)
class Endpoint:
    """How to reach a suite.

    Attributes:
        addresses: `host:port` of each service.
        token: Bearer token.
    """

    addresses: Mapping[str, str]
    token: str = field(repr=False)


def find_endpoint(home: SuiteHome) -> Endpoint:
    """Returns the suite that `AIMASS_*_ADDRESS` and `AIMASS_TOKEN` name, else the one of `home`.

    Raises:
        CliError: Neither is there.
    """
    token = os.environ.get(TOKEN_VARIABLE, "")
    addresses = {name: os.environ.get(each, "") for name, each in ADDRESS_VARIABLES.items()}
    if token and all(addresses.values()):
        return Endpoint(addresses, token)
    try:
        local = local_endpoint(home)
    except CliError as error:
        missing = [each for each in VARIABLES if not os.environ.get(each)]
        said = (f"{', '.join(missing)} is not set.",) if len(missing) < len(VARIABLES) else ()
        raise CliError(error.message, said, error.hint) from None
    known = {name: given or local.addresses[name] for name, given in addresses.items()}
    return Endpoint(known, token or local.token)


def local_endpoint(home: SuiteHome) -> Endpoint:
    """Returns the suite that runs in a state folder.

    Raises:
        CliError: None runs there.
    """
    state = home.read_state()
    if state is None or not home.is_locked() or state.phase is not Phase.RUNNING:
        where = f"{home.path} ({state.phase})" if state else str(home.path)
        raise CliError(f"No suite runs in {where}.", hint="aimass up")
    return Endpoint(state.addresses, home.tokens()["local"])


class Clients:
    """The stubs of a suite; channels are opened when first used."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._channels: dict[str, grpc.Channel] = {}

    def _channel(self, service: str) -> grpc.Channel:
        if service not in self._channels:
            address = self.endpoint.addresses[service]
            self._channels[service] = connect_sync(address, self.endpoint.token)
        return self._channels[service]

    @cached_property
    def maintenance(self) -> Mapping[str, maintenance_pb2_grpc.MaintenanceServiceStub]:
        """Housekeeping, by service."""
        stub = maintenance_pb2_grpc.MaintenanceServiceStub
        return {service: stub(self._channel(service)) for service in SERVICE_PORTS}

    @cached_property
    def analyses(self) -> analyzer_pb2_grpc.AnalyzerServiceStub:
        """Analyses and comparisons of models."""
        return analyzer_pb2_grpc.AnalyzerServiceStub(self._channel("analyzer"))

    @cached_property
    def datasets(self) -> dataset_pb2_grpc.DatasetServiceStub:
        """Data sets and their imports."""
        return dataset_pb2_grpc.DatasetServiceStub(self._channel("catalog"))

    @cached_property
    def lineage(self) -> lineage_pb2_grpc.LineageServiceStub:
        """What came from what."""
        return lineage_pb2_grpc.LineageServiceStub(self._channel("catalog"))

    @cached_property
    def models(self) -> model_pb2_grpc.ModelServiceStub:
        """Models."""
        return model_pb2_grpc.ModelServiceStub(self._channel("catalog"))

    @cached_property
    def outliers(self) -> outlier_pb2_grpc.OutlierServiceStub:
        """Outlier scans and detectors."""
        return outlier_pb2_grpc.OutlierServiceStub(self._channel("outlier"))

    @cached_property
    def policies(self) -> policy_pb2_grpc.PolicyServiceStub:
        """Policies that keep models good."""
        return policy_pb2_grpc.PolicyServiceStub(self._channel("tuner"))

    @cached_property
    def pruning(self) -> pruner_pb2_grpc.PrunerServiceStub:
        """Prunings."""
        return pruner_pb2_grpc.PrunerServiceStub(self._channel("pruner"))

    @cached_property
    def studies(self) -> study_pb2_grpc.StudyServiceStub:
        """Studies of what others try."""
        return study_pb2_grpc.StudyServiceStub(self._channel("tuner"))

    @cached_property
    def transfer(self) -> transfer_pb2_grpc.TransferServiceStub:
        """Uploads and downloads."""
        return transfer_pb2_grpc.TransferServiceStub(self._channel("catalog"))

    @cached_property
    def training(self) -> trainer_pb2_grpc.TrainingServiceStub:
        """Training runs and agents."""
        return trainer_pb2_grpc.TrainingServiceStub(self._channel("trainer"))

    @cached_property
    def tuning(self) -> tuner_pb2_grpc.TunerServiceStub:
        """Searches for models."""
        return tuner_pb2_grpc.TunerServiceStub(self._channel("tuner"))
