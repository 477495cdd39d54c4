"""Networks that lost units or blocks are networks of their kind with smaller widths."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from common.networks.modules import build_network
from common.networks.resizing import NotResizableError, resized
from common.networks.specification import (
    CnnNetwork,
    ConvBlock,
    EmbeddingBagNetwork,
    FtTransformerNetwork,
    LinearNetwork,
    MlpNetwork,
    NBeatsBlock,
    NBeatsNetwork,
    NetworkInput,
    NetworkSpecification,
    ResidualMlpNetwork,
    ResNetNetwork,
    ResNetStage,
    TcnNetwork,
    TextTransformerNetwork,
    complete,
)
from services.pruner.domain.blocks import blocks_of, without_block
from services.pruner.domain.capture import capture
from services.pruner.domain.dependencies.proving import proved_dependencies
from services.pruner.domain.dependencies.removal import without
from services.pruner.domain.importance import magnitudes

pytestmark = pytest.mark.slow

TABLE = NetworkInput(numeric_columns=5, category_sizes=(4, 9))
TEXT = TABLE.model_copy(update={"text_length": 7, "vocabulary_size": 11})
IMAGE = NetworkInput(image_shape=(3, 12, 12))
STAGES = (ResNetStage(blocks=2, channels=8), ResNetStage(blocks=3, channels=12))
KINDS: dict[str, tuple[NetworkInput, dict[str, Any]]] = {
    "mlp": (TABLE, {"mlp": MlpNetwork(hidden_widths=(12, 8), batch_norm=True)}),
    "residual mlp": (TABLE, {"residual_mlp": ResidualMlpNetwork(width=8, inner_widths=(12, 9))}),
    "ft transformer": (
        TABLE,
        {"ft_transformer": FtTransformerNetwork(width=12, head_width=4, activation="relu")},
    ),
    "embedding bag": (
        TEXT,
        {"embedding_bag": EmbeddingBagNetwork(width=12, pairs=30, head_widths=(9,))},
    ),
    "text transformer": (
        TEXT,
        {
            "text_transformer": TextTransformerNetwork(
                width=12, head_width=4, activation="relu", head_widths=(18,)
            )
        },
    ),
    "cnn": (
        IMAGE,
        {
            "cnn": CnnNetwork(
                blocks=(ConvBlock(channels=8), ConvBlock(channels=12)), head_widths=(6,)
            )
        },
    ),
    "cnn without head": (
        IMAGE,
        {"cnn": CnnNetwork(blocks=(ConvBlock(channels=8),), head_widths=(0,), batch_norm=False)},
    ),
    "resnet": (IMAGE, {"resnet": ResNetNetwork(stages=STAGES)}),
    "nbeats": (
        NetworkInput(window=9),
        {"nbeats": NBeatsNetwork(blocks=(NBeatsBlock(hidden_widths=(12, 8)),) * 2)},
    ),
    "tcn": (NetworkInput(window=9), {"tcn": TcnNetwork(channels=(8, 8, 6))}),
}


def network_of(kind: str) -> tuple[NetworkSpecification, nn.Module, tuple[Tensor, ...]]:
    """Returns a specification, its network with random weights, and what goes in."""
    torch.manual_seed(0)
    network_input, fields = KINDS[kind]
    specification = complete(NetworkSpecification(**fields), network_input, 3, "network")
    network = build_network(specification)
    with torch.no_grad():
        for name, each in network.state_dict().items():
            if each.dtype.is_floating_point:
                each.copy_(torch.rand_like(each) - (0.0 if "running_var" in name else 0.3))
    if network_input.window:
        return specification, network.eval(), (torch.rand(4, network_input.window),)
    if network_input.image_shape:
        return specification, network.eval(), (torch.rand(4, *network_input.image_shape),)
    codes = torch.stack([torch.randint(size, (4,)) for size in network_input.category_sizes], 1)
    inputs = [torch.rand(4, network_input.numeric_columns), codes]
    if network_input.text_length:
        tokens = torch.randint(1, network_input.vocabulary_size, (4, network_input.text_length))
        tokens[1:3, 4:] = 0
        inputs.append(tokens)
    return specification, network.eval(), tuple(inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pruned_network_is_rebuilt_from_its_specification(kind: str) -> None:
    """Same outputs from a network that was built anew: whoever loads packages needs no pruner."""
    specification, network, inputs = network_of(kind)
    captured = capture(network, inputs)
    known = proved_dependencies(captured, inputs)
    scores = magnitudes(known)
    gone: set[int] = set()
    for group in known.removable:
        ordered = sorted(group.units, key=lambda unit: scores[unit])
        gone |= set(ordered[: len(ordered) // 3])
    smaller = without(known, gone).eval()
    found, state = resized(specification, smaller.state_dict())
    rebuilt = build_network(found)
    rebuilt.load_state_dict(state)
    assert found != specification
    assert torch.allclose(rebuilt.eval()(*inputs), smaller(*inputs), atol=1e-5)
    count = sum(each.numel() for each in rebuilt.parameters())
    assert count < 0.8 * sum(each.numel() for each in network.parameters())


def test_blocks_that_are_gone_are_not_counted() -> None:
    """The others of the stage take their numbers."""
    specification, network, inputs = network_of("resnet")
    captured = capture(network, inputs)
    options = [without_block(captured, each).eval() for each in blocks_of(captured, inputs)]
    found = []
    for smaller in options:
        try:
            fewer, state = resized(specification, smaller.state_dict())
        except NotResizableError:
            continue  # the first block of a stage changes sides: its shortcut alone is no block
        rebuilt = build_network(fewer)
        rebuilt.load_state_dict(state)
        assert torch.allclose(rebuilt.eval()(*inputs), smaller(*inputs), atol=1e-5)
        assert fewer.resnet is not None
        found.append([each.blocks for each in fewer.resnet.stages])
    assert found == [[1, 3], [1, 3], [2, 2], [2, 2]]


def test_a_transformer_may_lose_attention_or_linear_layers_of_a_block() -> None:
    """Each is a branch of its own, and the specification can say that it is not there."""
    specification, network, inputs = network_of("ft transformer")
    captured = capture(network, inputs)
    found = []
    for block in blocks_of(captured, inputs):
        smaller = without_block(captured, block).eval()
        fewer, state = resized(specification, smaller.state_dict())
        rebuilt = build_network(fewer)
        rebuilt.load_state_dict(state)
        assert torch.allclose(rebuilt.eval()(*inputs), smaller(*inputs), atol=1e-5)
        assert fewer.ft_transformer is not None
        found.append([(each.heads, each.inner_width) for each in fewer.ft_transformer.blocks])
    assert found == [
        [(0, 24), (3, 24)],
        [(3, 0), (3, 24)],
        [(3, 24), (0, 24)],
        [(3, 24), (3, 0)],
    ]


def test_what_no_specification_has_is_refused() -> None:
    network_input = NetworkInput(numeric_columns=4)
    linear = complete(NetworkSpecification(linear=LinearNetwork()), network_input, 2, "network")
    state = dict(build_network(linear).state_dict())
    assert resized(linear, state) == (linear, state)
    state["weight"] = state["weight"][:, :3]
    with pytest.raises(NotResizableError, match=r"`weight` is \(2, 3\), where .* has \(2, 4\)"):
        resized(linear, state)
