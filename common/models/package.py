"""Loads the network of a model package. Imports torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from aimass.catalog.v1 import model_pb2
from common.artifacts.protocol import ObjectStore
from common.models.preprocessing import Preprocessing
from common.models.store import read_preprocessing
from common.models.twin import make_twin, output_name
from common.models.vectors import Tensors, read_vectors, replay
from common.models.weights import load_weights, load_weights_file
from common.networks.modules import build_network

_TEXT = "text"


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

    def predict(self, inputs: Tensors) -> Tensors:
        """Returns what the ONNX twin gives for raw inputs, by name.

        Args:
            inputs: As the signature has them. In place of `tokens` there may be `text`: objects,
                texts or None, shape (rows,), or (rows, columns) where there are several.
        """
        names = self.preprocessing.network_input.names
        inputs = self._tokenized(inputs)
        tensors = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in names]
        with torch.no_grad():
            output = make_twin(self.network, self.preprocessing)(*tensors)
        return {output_name(self.preprocessing): output.numpy()}

    def _tokenized(self, inputs: Tensors) -> Tensors:
        text = self.preprocessing.text
        if text is None or _TEXT not in inputs:
            return inputs
        # Here: whoever has no texts does without the library.
        from common.models.tokenization import tokenizer_of  # noqa: PLC0415

        columns = inputs[_TEXT].reshape(-1, len(text.names)).T
        return {**inputs, "tokens": tokenizer_of(text).tokens(list(columns))}


def load_package(
    store: ObjectStore, version: model_pb2.ModelVersion, weights: Path | None = None
) -> LoadedModel:
    """Loads a model version; digests are checked and its test vectors replayed.

    Args:
        store: Where the package is.
        version: The model version's record.
        weights: The file of its weights, where that was fetched already.

    Returns:
        The model.

    Raises:
        FailedPreconditionError: The version is no package of the trainer.
        DataLossError: A file is damaged, the weights do not fit the network, or the test vectors
            give other outputs; names which.
    """
    network = build_network(version.network)
    if weights is None:
        load_weights(network, version, store)
    else:
        load_weights_file(network, version, weights)
    model = LoadedModel(version, network.eval(), read_preprocessing(version, store))
    replay(version, read_vectors(version, store), model.predict)
    return model
