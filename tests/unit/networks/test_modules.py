import pytest
import torch
from torch import Tensor, nn

from common.networks.cost import network_cost
from common.networks.modules import GridPool, build_network
from common.networks.specification import (
    CnnNetwork,
    ConvBlock,
    LinearNetwork,
    MlpNetwork,
    NetworkInput,
    NetworkSpecification,
    complete,
    to_proto,
)

TABLE = NetworkInput(numeric_columns=3, category_sizes=(4, 7))
IMAGE = NetworkInput(image_shape=(3, 14, 10))
SPECIFICATIONS = {
    "linear": (NetworkSpecification(linear=LinearNetwork()), TABLE),
    "linear without bias": (NetworkSpecification(linear=LinearNetwork(bias=False)), TABLE),
    "numbers only": (
        NetworkSpecification(mlp=MlpNetwork(batch_norm=True, dropout=0.2)),
        NetworkInput(numeric_columns=5),
    ),
    "categories only": (
        NetworkSpecification(mlp=MlpNetwork(activation="silu")),
        NetworkInput(category_sizes=(4, 7)),
    ),
    "linear of categories": (
        NetworkSpecification(linear=LinearNetwork()),
        NetworkInput(category_sizes=(4,)),
    ),
    "mlp": (NetworkSpecification(mlp=MlpNetwork(hidden_widths=(16, 8, 4))), TABLE),
    "cnn": (NetworkSpecification(cnn=CnnNetwork(dropout=0.1)), IMAGE),
    "cnn without extras": (
        NetworkSpecification(
            cnn=CnnNetwork(
                blocks=(ConvBlock(channels=4, pool=1), ConvBlock(channels=6, kernel_size=5)),
                batch_norm=False,
                head_widths=(0,),
                activation="tanh",
                pool_grid=1,
            )
        ),
        IMAGE,
    ),
}


def completed(key: str) -> NetworkSpecification:
    specification, network_input = SPECIFICATIONS[key]
    return complete(specification, network_input, 5, "network")


def sample(network_input: NetworkInput, rows: int = 6) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "numeric": torch.randn(rows, network_input.numeric_columns, generator=generator),
        "categories": torch.randint(0, 4, (rows, len(network_input.category_sizes))),
        "image": torch.randn(rows, *(network_input.image_shape or (1,)), generator=generator),
    }
    return tuple(tensors[name] for name in network_input.names)


@pytest.mark.parametrize("key", SPECIFICATIONS)
def test_a_network_rebuilt_from_its_message_gives_the_same_output(key: str) -> None:
    """Protects packages: specification and weights are all that is needed to rebuild."""
    specification = completed(key)
    original = build_network(specification).eval()
    for parameter in original.parameters():
        nn.init.normal_(parameter)
    rebuilt = build_network(to_proto(specification)).eval()
    rebuilt.load_state_dict(original.state_dict())
    inputs = sample(specification.input)
    assert original(*inputs).shape == (6, 5)
    assert torch.equal(original(*inputs), rebuilt(*inputs))


@pytest.mark.parametrize("key", SPECIFICATIONS)
def test_the_cost_counts_the_parameters_exactly(key: str) -> None:
    """Protects the estimate, which counts without building the network."""
    specification = completed(key)
    count = sum(parameter.numel() for parameter in build_network(specification).parameters())
    assert network_cost(specification).parameters == count


def test_unknown_categories_say_nothing_before_training() -> None:
    """Protects predictions on categories that training never saw: their embedding is zero."""
    network = build_network(completed("mlp"))
    for table in network.get_submodule("embeddings").children():
        assert isinstance(table, nn.Embedding)
        assert torch.count_nonzero(table.weight[0]) == 0


@pytest.mark.parametrize(("height", "width", "grid"), [(7, 7, 4), (5, 9, 3), (4, 4, 4), (6, 3, 1)])
def test_the_grid_pools_like_torch(height: int, width: int, grid: int) -> None:
    """Protects the pooling that replaces one without an ONNX form."""
    features = torch.randn(2, 3, height, width)
    expected = nn.functional.adaptive_avg_pool2d(features, grid)
    torch.testing.assert_close(GridPool(height, width, grid)(features), expected)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_pooling_before_a_monotone_activation_changes_nothing(activation: str) -> None:
    """Protects the order of layers that the contract states, which is exchanged where it may be."""
    specification = NetworkSpecification.model_validate(
        {"cnn": {"activation": activation, "blocks": [{"channels": 4}], "batch_norm": False}}
    )
    network = build_network(complete(specification, IMAGE, 5, "network"))
    blocks = network.get_submodule("blocks")
    assert isinstance(blocks, nn.Sequential)
    images = sample(IMAGE)[0]
    function = {"relu": nn.ReLU(), "tanh": nn.Tanh(), "gelu": nn.GELU()}[activation]
    expected = nn.functional.max_pool2d(function(blocks[0](images)), 2)
    torch.testing.assert_close(blocks(images), expected)
