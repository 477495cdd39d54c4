"""Networks that code of a user's own makes."""

import torch
from torch import Tensor, nn

from common.artifacts.protocol import ObjectStore
from common.networks.modules import build_network
from common.networks.specification import NetworkInput, NetworkSpecification
from services.trainer.domain.job import Job
from services.trainer.domain.own_code import OwnCode
from services.trainer.worker.own_code.files import OwnCodeError, function_of, told, unpacked

_ROWS = 2


def make_network(job: Job, store: ObjectStore) -> nn.Module:
    """Returns the network of a run with fresh weights, made by its own code where it brings some.

    Args:
        job: The run.
        store: Where its code is.

    Raises:
        OwnCodeError: The code fails, or makes something else than a network for the data.
    """
    specification = job.specification.network
    assert specification is not None
    torch.manual_seed(job.specification.seed)
    code = job.specification.code
    return build_network(specification) if code is None else _made(code, specification, store)


def _made(code: OwnCode, specification: NetworkSpecification, store: ObjectStore) -> nn.Module:
    inputs, outputs = specification.input, specification.outputs
    with unpacked(code, store):
        function = function_of(code)
        with told():
            network = function(inputs, outputs, dict(code.arguments))
        if not isinstance(network, nn.Module):
            kind = type(network).__name__
            raise OwnCodeError(f"`{code.entry}` returned {kind}; return a torch `nn.Module`.")
        _try_out(network, inputs, outputs, code.entry)
    return network


def _try_out(network: nn.Module, inputs: NetworkInput, outputs: int, entry: str) -> None:
    """Checks what a network gives for two rows, so that training does not end at its first step."""
    was_training = network.training
    with told(), torch.no_grad():
        found = network.eval()(*example(inputs, outputs))
    network.train(was_training)
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if shape != (_ROWS, outputs):
        raise OwnCodeError(
            f"The network of `{entry}` gave {shape} for {_ROWS} rows; return a tensor of "
            f"({_ROWS}, {outputs}): logits of classes, or values."
        )


def example(inputs: NetworkInput, outputs: int) -> tuple[Tensor, ...]:
    """Returns two rows of zeros as a network with so many outputs takes them."""
    rows = {
        "numeric": torch.zeros(_ROWS, inputs.numeric_columns),
        "categories": torch.zeros(_ROWS, len(inputs.category_sizes), dtype=torch.int64),
        "image": torch.zeros(_ROWS, *inputs.image_shape),
        "series": torch.zeros(_ROWS, inputs.window),
        "past": torch.zeros(_ROWS, inputs.window, inputs.past_columns),
        "known": torch.zeros(_ROWS, inputs.window + outputs, inputs.known_columns),
        "tokens": torch.zeros(_ROWS, inputs.text_length, dtype=torch.int64),
    }
    return tuple(rows[name] for name in inputs.names)
