"""The weights of a model package. Imports torch."""

from pathlib import Path

import safetensors
import safetensors.torch
from torch import nn

from aimass.catalog.v1 import model_pb2
from common.artifacts.protocol import ObjectStore
from common.errors import DataLossError
from common.models.store import read_part


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
        raise _misfit(version, error) from error


def load_weights_file(network: nn.Module, version: model_pb2.ModelVersion, path: Path) -> None:
    """Makes the weights of a file those of a network: mapped, so that they take no memory twice.

    Args:
        network: A network of the same specification; changed in place.
        version: The model version's record, for errors.
        path: The file, which must stay as it is while the network is used.

    Raises:
        DataLossError: The file does not fit.
    """
    try:
        network.load_state_dict(safetensors.torch.load_file(path), assign=True)
    except (safetensors.SafetensorError, RuntimeError) as error:
        raise _misfit(version, error) from error


def _misfit(version: model_pb2.ModelVersion, error: Exception) -> DataLossError:
    return DataLossError(
        f"The weights of {version.name} do not fit its network.", private=str(error)
    )
