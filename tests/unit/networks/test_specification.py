import pytest
from pydantic import ValidationError

from aimass.type.v1 import network_pb2
from common.errors import InvalidFieldError
from common.networks.specification import (
    CnnNetwork,
    ConvBlock,
    LinearNetwork,
    MlpNetwork,
    NetworkInput,
    NetworkSpecification,
    ResNetNetwork,
    TcnNetwork,
    complete,
    from_proto,
    to_proto,
)
from tests.support.networks import EXAMPLES

TABLE = NetworkInput(numeric_columns=3, category_sizes=(4, 100))
TEXT = TABLE.model_copy(update={"text_length": 30, "vocabulary_size": 300})
IMAGE = NetworkInput(image_shape=(1, 28, 28))
SERIES = NetworkInput(window=21)


def test_embedding_widths_default_to_half_the_codes_up_to_fifty() -> None:
    """Protects the default that the contract states."""
    network = complete(NetworkSpecification(mlp=MlpNetwork()), TABLE, 2, "network")
    assert network.mlp is not None
    assert network.mlp.embedding_widths == (2, 50)
    assert network.mlp.hidden_widths == (128, 64)


def test_empty_lists_of_a_message_mean_the_defaults() -> None:
    """Protects requests that name a network and nothing else: lists arrive empty."""
    message = network_pb2.NetworkSpec(cnn=network_pb2.CnnNetwork())
    network = complete(from_proto(message), IMAGE, 10, "network")
    assert network.cnn is not None
    assert [block.channels for block in network.cnn.blocks] == [32, 64]
    assert network.cnn.head_widths == (128,)
    assert network.cnn.pool_grid == 4


@pytest.mark.parametrize("key", EXAMPLES)
def test_a_completed_network_survives_the_message_and_completing_again(key: str) -> None:
    """Protects rebuilding: what is stored in a model version is what was trained."""
    specification, network_input = EXAMPLES[key]
    network = complete(specification, network_input, 3, "network")
    assert from_proto(to_proto(network)) == network
    assert complete(network, network_input, 3, "network") == network


def test_the_grid_is_no_larger_than_the_feature_map() -> None:
    """Protects small images: 8 x 8 pooled twice leaves 2 x 2."""
    network = complete(
        NetworkSpecification(cnn=CnnNetwork()), NetworkInput(image_shape=(1, 8, 8)), 10, "network"
    )
    assert network.cnn is not None
    assert network.cnn.pool_grid == 2


@pytest.mark.parametrize(
    ("plain", "blocks", "channels"),
    [
        ({}, (2, 2, 2, 2), (64, 128, 256, 512)),
        ({"depth": 34, "width": 10}, (3, 4, 6, 3), (10, 20, 40, 80)),
    ],
)
def test_depth_and_width_become_stages(
    plain: dict[str, int], blocks: tuple[int, ...], channels: tuple[int, ...]
) -> None:
    """Protects pruners: a resolved network says each width, and nothing beside that says others."""
    asked = NetworkSpecification(resnet=ResNetNetwork.model_validate(plain))
    resnet = complete(asked, IMAGE, 10, "network").resnet
    assert resnet is not None
    assert tuple(stage.blocks for stage in resnet.stages) == blocks
    assert tuple(stage.channels for stage in resnet.stages) == channels
    assert all(stage.inner_channels == (stage.channels,) * stage.blocks for stage in resnet.stages)
    assert (resnet.depth, resnet.width) == (None, None)


@pytest.mark.parametrize(
    ("shape", "stem"), [((3, 64, 300), "small"), ((3, 65, 65), "large"), ((1, 1, 1), "small")]
)
def test_the_stem_follows_the_shorter_side(shape: tuple[int, ...], stem: str) -> None:
    """Protects small images from losing three quarters of each side at once."""
    asked = NetworkSpecification(resnet=ResNetNetwork())
    resnet = complete(asked, NetworkInput(image_shape=shape), 10, "network").resnet
    assert resnet is not None
    assert resnet.stem == stem


def test_a_stem_that_is_asked_for_stays() -> None:
    """Protects the choice of the caller."""
    asked = NetworkSpecification(resnet=ResNetNetwork(stem="large"))
    resnet = complete(asked, IMAGE, 10, "network").resnet
    assert resnet is not None
    assert resnet.stem == "large"


@pytest.mark.parametrize(
    ("specification", "network_input", "field", "cure"),
    [
        (NetworkSpecification(cnn=CnnNetwork()), TABLE, "n", "use linear or mlp"),
        (NetworkSpecification(linear=LinearNetwork()), IMAGE, "n", "use cnn or resnet"),
        (NetworkSpecification(resnet=ResNetNetwork()), TABLE, "n", "use linear or mlp"),
        (
            NetworkSpecification(mlp=MlpNetwork(embedding_widths=(3,))),
            TABLE,
            "n.mlp.embedding_widths",
            "one for each",
        ),
        (NetworkSpecification(cnn=CnnNetwork(pool_grid=8)), IMAGE, "n.cnn.pool_grid", "at most 7"),
        (
            NetworkSpecification(cnn=CnnNetwork(blocks=(ConvBlock(channels=8, pool=8),) * 3)),
            IMAGE,
            "n.cnn.blocks[1].pool",
            "pool less",
        ),
    ],
)
def test_what_does_not_fit_the_data_names_field_and_cure(
    specification: NetworkSpecification, network_input: NetworkInput, field: str, cure: str
) -> None:
    """Protects callers from errors they cannot act on."""
    with pytest.raises(InvalidFieldError) as caught:
        complete(specification, network_input, 10, "n")
    assert caught.value.violations[0].field == field
    assert cure in caught.value.message


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"linear": {}, "mlp": {}},
        {"mlp": {"hidden_widths": [0]}},
        {"mlp": {"dropout": 1.0}},
        {"mlp": {"unknown": 1}},
        {"cnn": {"blocks": [{"channels": 8, "kernel_size": 4}]}},
        {"cnn": {"head_widths": [16, 0]}},
        {"cnn": {}, "resnet": {}},
        {"resnet": {"depth": 50}},
        {"resnet": {"width": 1025}},
        {"resnet": {"dropout": 1.0}},
        {"resnet": {"stem": "huge"}},
        {"resnet": {"stages": [{"channels": 8}]}},
        {"resnet": {"stages": [{"blocks": 1, "channels": 8193}]}},
        {"resnet": {"stages": [{"blocks": 1, "channels": 8}] * 9}},
    ],
)
def test_what_is_out_of_range_is_refused(plain: dict[str, object]) -> None:
    """Protects the ranges that the contract states."""
    with pytest.raises(ValidationError):
        NetworkSpecification.model_validate(plain)


@pytest.mark.parametrize(
    ("resnet", "place", "cure"),
    [
        (
            {"stages": [{"blocks": 2, "channels": 8, "inner_channels": [4]}]},
            ("resnet", "stages", 0, "inner_channels"),
            "one for each",
        ),
        (
            {"width": 16, "stages": [{"blocks": 2, "channels": 8}]},
            ("resnet", "stages"),
            "leave out",
        ),
    ],
)
def test_what_contradicts_itself_names_place_and_cure(
    resnet: dict[str, object], place: tuple[int | str, ...], cure: str
) -> None:
    """Protects callers who lay out the stages themselves."""
    with pytest.raises(ValidationError) as caught:
        NetworkSpecification.model_validate({"resnet": resnet})
    [found] = caught.value.errors()
    assert found["loc"] == place
    assert cure in found["msg"]


def test_the_default_levels_of_a_tcn_see_the_whole_window() -> None:
    """Protects forecasts from a past that is given and not looked at."""
    for window, levels in ((1, 1), (5, 1), (6, 2), (13, 2), (14, 3), (200, 6)):
        network = complete(
            NetworkSpecification(tcn=TcnNetwork()), NetworkInput(window=window), 3, "network"
        )
        assert network.tcn is not None and len(network.tcn.channels) == levels


def test_networks_of_series_and_of_tables_do_not_stand_in_for_each_other() -> None:
    """Protects from a network that cannot take its input; says which can."""
    with pytest.raises(InvalidFieldError, match="time series; use series_linear or nbeats or tcn"):
        complete(NetworkSpecification(mlp=MlpNetwork()), SERIES, 3, "network")
    with pytest.raises(InvalidFieldError, match="does not fit a table"):
        complete(NetworkSpecification(tcn=TcnNetwork()), TABLE, 3, "network")


def test_numbers_of_levels_must_agree() -> None:
    """Protects from inner channels that would be silently left out."""
    tcn = TcnNetwork(channels=(4, 4), inner_channels=(2,))
    with pytest.raises(InvalidFieldError, match="2 levels but 1"):
        complete(NetworkSpecification(tcn=tcn), SERIES, 3, "network")
