"""Loads the network of a model package. Imports torch."""

from dataclasses import dataclass

import safetensors
import safetensors.torch
from torch import nn

from aimass.catalog.v1 import model_pb2
from common.artifacts.protocol import ObjectStore
from common.errors import DataLossError
from common.models.preprocessing import Preprocessing
from common.models.store import read_part, read_preprocessing
from common.networks.modules import build_network


@dataclass(frozen=True)
class LoadedModel:
    """A model version, ready to use.

    Attributes:
        version: Its record.
        network: The network with its weights, in evaluation mode; takes standardised inputs.
        preprocessing: What turns raw columns into its inputs.
    """

    version: model_pb2.ModelVersion
    network: nn.Module
    preprocessing: Preprocessing


def load_package(store: ObjectStore, version: model_pb2.ModelVersion) -> LoadedModel:
    """Loads a model version; every digest is checked.

    Args:
        store: Where the package is.
        version: The model version's record.

    Returns:
        The model.

    Raises:
        FailedPreconditionError: The version is no package of the trainer.
        DataLossError: A file is damaged, or the weights do not fit the network.
    """
    network = build_network(version.network)
    load_weights(network, version, store)
    return LoadedModel(version, network.eval(), read_preprocessing(version, store))


def load_weights(network: nn.Module, version: model_pb2.ModelVersion, store: ObjectStore) -> None:
    """Puts the weights of a model version into a network.

    Args:
        network: A network of the same specification; changed in place.
        version: The model version's record.
        store: Where the package is.

    Raises:
        FailedPreconditionError: The version is no package of the trainer.
        DataLossError: The file is damaged or does not fit.
    """
    content = read_part(version, "weights", store)
    try:
        network.load_state_dict(safetensors.torch.load(content))
    except (safetensors.SafetensorError, RuntimeError) as error:
        raise DataLossError(
            f"The weights of {version.name} do not fit its network.", private=str(error)
        ) from error
