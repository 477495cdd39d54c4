"""Names of layers, told without torch, are those that the built network has."""

from typing import Any

import pytest
from torch import nn

from common.networks.layer_names import has_batch_norm, layer_names
from common.networks.modules import build_network
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
    SeriesLinearNetwork,
    TcnNetwork,
    TextTransformerNetwork,
    TransformerBlock,
    complete,
)
from tests.support.networks import EXAMPLES

TABLE = NetworkInput(numeric_columns=5, category_sizes=(4, 9))
TEXT = TABLE.model_copy(update={"text_length": 7, "vocabulary_size": 11})
IMAGE = NetworkInput(image_shape=(3, 12, 12))
SERIES = NetworkInput(window=21)
BLOCKS = (ConvBlock(channels=8), ConvBlock(channels=12))
STAGES = (ResNetStage(blocks=2, channels=8), ResNetStage(blocks=3, channels=8))
PRUNED_BLOCKS = (
    TransformerBlock(heads=0, inner_width=5),
    TransformerBlock(heads=1, inner_width=0),
)
# Those of a linear network are its own tables; columns beside a series are looked at elsewhere.
NAMED = [key for key in EXAMPLES if "linear" not in key and " with " not in key]
NETWORKS: tuple[tuple[NetworkInput, dict[str, Any]], ...] = (
    (TABLE, {"mlp": MlpNetwork(hidden_widths=(12, 8))}),
    (TABLE, {"mlp": MlpNetwork(hidden_widths=(12, 8), batch_norm=True, dropout=0.1)}),
    (TABLE, {"mlp": MlpNetwork(hidden_widths=(12,), dropout=0.1)}),
    (TABLE, {"residual_mlp": ResidualMlpNetwork(inner_widths=(12, 8))}),
    (TABLE, {"ft_transformer": FtTransformerNetwork()}),
    (TABLE, {"ft_transformer": FtTransformerNetwork(blocks=PRUNED_BLOCKS)}),
    (TEXT, {"embedding_bag": EmbeddingBagNetwork()}),
    (TEXT, {"embedding_bag": EmbeddingBagNetwork(head_widths=(5,), dropout=0, pairs=0)}),
    (TEXT, {"text_transformer": TextTransformerNetwork(head_widths=(6, 5))}),
    (IMAGE, {"cnn": CnnNetwork(blocks=BLOCKS, head_widths=(6, 5), dropout=0.2)}),
    (IMAGE, {"cnn": CnnNetwork(blocks=BLOCKS, head_widths=(0,), batch_norm=False)}),
    (IMAGE, {"resnet": ResNetNetwork(stages=STAGES)}),
    (IMAGE, {"resnet": ResNetNetwork(depth=18, width=4, stem="large")}),
    (SERIES, {"series_linear": SeriesLinearNetwork()}),
    (SERIES, {"nbeats": NBeatsNetwork()}),
    (SERIES, {"nbeats": NBeatsNetwork(blocks=(NBeatsBlock(hidden_widths=(5, 3)),), dropout=0.1)}),
    (SERIES, {"tcn": TcnNetwork(channels=(4, 4, 3))}),
)


@pytest.mark.parametrize(("network_input", "fields"), NETWORKS)
def test_names_are_those_of_the_modules(
    network_input: NetworkInput, fields: dict[str, Any]
) -> None:
    """So that a name can be refused before anything is built."""
    check_names(NetworkSpecification(**fields), network_input)


@pytest.mark.parametrize("key", NAMED)
def test_names_of_all_kinds_are_those_of_the_modules(key: str) -> None:
    """The same for every kind that there is."""
    check_names(*EXAMPLES[key])


def check_names(asked: NetworkSpecification, network_input: NetworkInput) -> None:
    """Compares names with those of the network that is built."""
    specification = complete(asked, network_input, 3, "network")
    modules = dict(build_network(specification).named_modules())
    layers = [
        name
        for name, each in modules.items()
        if isinstance(each, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Embedding)
    ]
    assert sorted(layer_names(specification)) == sorted(layers)
    norms = [isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d) for each in modules.values()]
    assert has_batch_norm(specification) == any(norms)


def test_a_linear_network_has_no_widths_of_its_own() -> None:
    """Its tables are as wide as its output."""
    fields = NetworkSpecification(linear=LinearNetwork())
    specification = complete(fields, TABLE, 3, "network")
    assert layer_names(specification) == ()
    assert not has_batch_norm(specification)
