"""Where the suite is, and its stubs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import grpc

from aimass.catalog.v1 import dataset_pb2_grpc, lineage_pb2_grpc, model_pb2_grpc, transfer_pb2_grpc
from aimass.maintenance.v1 import maintenance_pb2_grpc
from aimass.trainer.v1 import trainer_pb2_grpc
from common.cli.errors import CliError
from common.client import connect_sync
from common.local.home import Phase, SuiteHome


@dataclass(frozen=True)
class Endpoint:
    """How to reach a suite.

    Attributes:
        catalog_address: `host:port` of the catalog.
        trainer_address: `host:port` of the trainer.
        token: Bearer token.
    """

    catalog_address: str
    trainer_address: str
    token: str = field(repr=False)


def find_endpoint(home: SuiteHome) -> Endpoint:
    """Returns the suite that `AIMASS_*_ADDRESS` and `AIMASS_TOKEN` name, else the one of `home`.

    Raises:
        CliError: Neither is there.
    """
    catalog = os.environ.get("AIMASS_CATALOG_ADDRESS")
    trainer = os.environ.get("AIMASS_TRAINER_ADDRESS")
    token = os.environ.get("AIMASS_TOKEN")
    if catalog and trainer and token:
        return Endpoint(catalog, trainer, token)
    local = local_endpoint(home)
    return Endpoint(
        catalog or local.catalog_address, trainer or local.trainer_address, token or local.token
    )


def local_endpoint(home: SuiteHome) -> Endpoint:
    """Returns the suite that runs in a state folder.

    Raises:
        CliError: None runs there.
    """
    state = home.read_state()
    if state is None or not home.is_locked() or state.phase is not Phase.RUNNING:
        where = f"{home.path} ({state.phase})" if state else str(home.path)
        raise CliError(f"No suite runs in {where}.", hint="aimass up")
    return Endpoint(state.catalog_address, state.trainer_address, home.tokens()["local"])


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
    def maintenance(self) -> Mapping[str, maintenance_pb2_grpc.MaintenanceServiceStub]:
        """Housekeeping, by service."""
        channels = {"catalog": self._catalog, "trainer": self._trainer}
        stub = maintenance_pb2_grpc.MaintenanceServiceStub
        return {service: stub(channel) for service, channel in channels.items()}

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
    def transfer(self) -> transfer_pb2_grpc.TransferServiceStub:
        """Uploads and downloads."""
        return transfer_pb2_grpc.TransferServiceStub(self._catalog)

    @cached_property
    def training(self) -> trainer_pb2_grpc.TrainingServiceStub:
        """Training runs and agents."""
        return trainer_pb2_grpc.TrainingServiceStub(self._trainer)
