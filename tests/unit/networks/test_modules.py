import pytest
import torch
from torch import Tensor, nn

from common.networks.cost import network_cost
from common.networks.modules import build_network
from common.networks.specification import (
    KINDS,
    NetworkInput,
    NetworkSpecification,
    complete,
    to_proto,
)
from common.networks.torch_kinds.cnn import GridPool
from tests.support.networks import EXAMPLES, IMAGE

RESNETS = [key for key in EXAMPLES if "resnet" in key]


def completed(key: str) -> NetworkSpecification:
    specification, network_input = EXAMPLES[key]
    return complete(specification, network_input, 5, "network")


def sample(network_input: NetworkInput, rows: int = 6) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "numeric": torch.randn(rows, network_input.numeric_columns, generator=generator),
        "categories": torch.randint(0, 4, (rows, len(network_input.category_sizes))),
        "image": torch.randn(rows, *(network_input.image_shape or (1,)), generator=generator),
        "series": torch.randn(rows, network_input.window, generator=generator),
        "past": torch.randn(rows, network_input.window, network_input.past_columns),
        "known": torch.randn(rows, network_input.window + 5, network_input.known_columns),
        "tokens": torch.randint(1, 20, (rows, network_input.text_length), generator=generator),
    }
    return tuple(tensors[name] for name in network_input.names)


def test_every_kind_has_an_example() -> None:
    """What is not among them is not tested at all."""
    assert {network.kind for network, _ in EXAMPLES.values()} == {*KINDS} - {"custom"}


@pytest.mark.parametrize("key", EXAMPLES)
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


@pytest.mark.parametrize("key", EXAMPLES)
def test_the_cost_counts_the_parameters_exactly(key: str) -> None:
    """Protects the estimate, which counts without building the network."""
    specification = completed(key)
    count = sum(parameter.numel() for parameter in build_network(specification).parameters())
    assert network_cost(specification).parameters == count


@pytest.mark.parametrize(
    "key", [key for key, (_, network_input) in EXAMPLES.items() if network_input.image_shape]
)
def test_the_cost_counts_the_multiplications_exactly(key: str) -> None:
    """Protects the estimate and pruners, which compare networks by what a row costs."""
    specification = completed(key)
    network = build_network(specification).eval()
    counts: list[int] = []

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.Linear)
        counts.append(module.weight[0].numel() * output[0].numel())

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network(*sample(specification.input, rows=2))
    assert network_cost(specification).multiplications == sum(counts)


@pytest.mark.parametrize("key", RESNETS)
def test_the_cost_counts_what_the_backward_pass_keeps(key: str) -> None:
    """Protects the estimate of memory: numbers of four bytes that torch keeps for each row."""
    specification = completed(key)
    resnet = specification.resnet
    assert resnet is not None
    network = build_network(specification)
    network.get_submodule("dropout").eval()
    (images,) = sample(specification.input)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if len(tensor.shape) > 1 and len(tensor) == len(images):
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size() // 4
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network(images)
    kept.pop(images.data_ptr())
    # The cost has outputs and their loss as well, which no layer here keeps.
    expected = network_cost(specification).activations - 2 * specification.outputs
    assert sum(kept.values()) == len(images) * expected
    assert outputs.shape == (len(images), specification.outputs)


@pytest.mark.parametrize("key", [key for key in EXAMPLES if "transformer" in key])
def test_the_cost_is_near_what_the_backward_pass_of_a_transformer_keeps(key: str) -> None:
    """Protects the estimate of memory, which grows with the tokens: not less, and not far more."""
    specification = completed(key)
    inputs = sample(specification.input)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if len(tensor.shape) > 1 and len(tensor) == len(inputs[0]):
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size() // 4
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        build_network(specification)(*inputs)
    found = sum(kept.values()) / len(inputs[0])
    assert 0.95 * found < network_cost(specification).activations < 1.5 * found


@pytest.mark.parametrize("key", [key for key in EXAMPLES if "text" in key or "bag" in key])
def test_padding_changes_nothing(key: str) -> None:
    """Protects batches, which are as long as their longest text only."""
    specification = completed(key)
    network = build_network(specification).eval()
    *columns, tokens = sample(specification.input)
    tokens[:, 5:] = 0
    tokens[0, 1:] = 0
    torch.testing.assert_close(network(*columns, tokens[:, :5]), network(*columns, tokens))


def test_a_residual_block_adds_what_went_in() -> None:
    """Protects the shortcut: without the residual, a block passes on what went in."""
    network = build_network(completed("resnet")).eval()
    block = network.get_submodule("stages.0.1")
    nn.init.zeros_(block.get_parameter("norm2.weight"))
    features = torch.rand(2, 4, 5, 7)
    torch.testing.assert_close(block(features), features)


def test_the_shapes_of_a_resnet_are_those_of_its_stages() -> None:
    """Protects pruners, who find a layer's weights by its place in the specification."""
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in build_network(completed("pruned resnet")).named_parameters()
        if "conv" in name or "head" in name
    }
    assert shapes == {
        "stem.conv.weight": (5, 3, 3, 3),
        "stages.0.0.conv1.weight": (3, 5, 3, 3),
        "stages.0.0.conv2.weight": (5, 3, 3, 3),
        "stages.0.1.conv1.weight": (1, 5, 3, 3),
        "stages.0.1.conv2.weight": (5, 1, 3, 3),
        "stages.1.0.conv1.weight": (7, 5, 3, 3),
        "stages.1.0.conv2.weight": (5, 7, 3, 3),
        "stages.1.0.shortcut.conv.weight": (5, 5, 1, 1),
        "stages.2.0.conv1.weight": (4, 5, 3, 3),
        "stages.2.0.conv2.weight": (4, 4, 3, 3),
        "stages.2.0.shortcut.conv.weight": (4, 5, 1, 1),
        "stages.2.1.conv1.weight": (4, 4, 3, 3),
        "stages.2.1.conv2.weight": (4, 4, 3, 3),
        "stages.2.2.conv1.weight": (4, 4, 3, 3),
        "stages.2.2.conv2.weight": (4, 4, 3, 3),
        "head.weight": (5, 4),
        "head.bias": (5,),
    }


@pytest.mark.parametrize(
    ("depth", "stem", "millions"),
    [(18, "small", 11.17), (18, "large", 11.18), (34, "large", 21.29)],
)
def test_a_resnet_has_as_many_parameters_as_published(
    depth: int, stem: str, millions: float
) -> None:
    """Protects comparisons with others' results: it is the network that the name promises."""
    plain = {"resnet": {"depth": depth, "stem": stem}}
    specification = NetworkSpecification.model_validate(plain)
    cost = network_cost(complete(specification, NetworkInput(image_shape=(3, 32, 32)), 10, "n"))
    assert round(cost.parameters / 1e6, 2) == millions


def test_unknown_categories_say_nothing_before_training() -> None:
    """Protects predictions on categories that training never saw: their embedding is zero."""
    network = build_network(completed("mlp"))
    tables = [*network.get_submodule("embeddings").children()]
    assert tables
    for table in tables:
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
