import pytest
import torch
from torch import Tensor, nn

from common.networks.cost import network_cost
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
    to_proto,
)
from common.networks.torch_kinds.cnn import GridPool

TABLE = NetworkInput(numeric_columns=3, category_sizes=(4, 7))
IMAGE = NetworkInput(image_shape=(3, 14, 10))
SERIES = NetworkInput(window=21)
COVARIATES = NetworkInput(window=21, past_columns=2, known_columns=3, season=4)
TEXT = NetworkInput(text_length=9, vocabulary_size=20)
TEXT_AND_TABLE = TEXT.model_copy(update={"numeric_columns": 3, "category_sizes": (4, 7)})
PRUNED_BLOCKS = (
    TransformerBlock(heads=0, inner_width=5),
    TransformerBlock(heads=3, inner_width=0),
    TransformerBlock(heads=1, inner_width=7),
)
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
    "residual mlp": (
        NetworkSpecification(residual_mlp=ResidualMlpNetwork(width=6, inner_widths=(9, 4))),
        TABLE,
    ),
    "residual mlp of numbers": (
        NetworkSpecification(residual_mlp=ResidualMlpNetwork(dropout=0, activation="silu")),
        NetworkInput(numeric_columns=5),
    ),
    "ft transformer": (NetworkSpecification(ft_transformer=FtTransformerNetwork()), TABLE),
    "ft transformer of numbers": (
        NetworkSpecification(
            ft_transformer=FtTransformerNetwork(width=10, head_width=3, activation="relu")
        ),
        NetworkInput(numeric_columns=5),
    ),
    "pruned ft transformer": (
        NetworkSpecification(ft_transformer=FtTransformerNetwork(width=8, blocks=PRUNED_BLOCKS)),
        NetworkInput(category_sizes=(4, 7)),
    ),
    "embedding bag": (NetworkSpecification(embedding_bag=EmbeddingBagNetwork()), TEXT),
    "embedding bag without head": (
        NetworkSpecification(embedding_bag=EmbeddingBagNetwork(width=5, pairs=0, head_widths=(0,))),
        TEXT_AND_TABLE,
    ),
    "text transformer": (NetworkSpecification(text_transformer=TextTransformerNetwork()), TEXT),
    "pruned text transformer": (
        NetworkSpecification(
            text_transformer=TextTransformerNetwork(
                width=8, blocks=PRUNED_BLOCKS, head_widths=(6, 5)
            )
        ),
        TEXT_AND_TABLE,
    ),
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
    "resnet": (NetworkSpecification(resnet=ResNetNetwork(width=4, dropout=0.1)), IMAGE),
    "deep resnet": (
        NetworkSpecification(resnet=ResNetNetwork(depth=34, width=2, stem="large")),
        NetworkInput(image_shape=(1, 70, 65)),
    ),
    "pruned resnet": (
        NetworkSpecification(
            resnet=ResNetNetwork(
                stages=(
                    ResNetStage(blocks=2, channels=5, inner_channels=(3, 1)),
                    ResNetStage(blocks=1, channels=5, inner_channels=(7,)),
                    ResNetStage(blocks=3, channels=4),
                )
            )
        ),
        IMAGE,
    ),
    "series linear": (NetworkSpecification(series_linear=SeriesLinearNetwork()), SERIES),
    "series linear without trend": (
        NetworkSpecification(series_linear=SeriesLinearNetwork(moving_average=1)),
        SERIES,
    ),
    "nbeats": (NetworkSpecification(nbeats=NBeatsNetwork()), SERIES),
    "pruned nbeats": (
        NetworkSpecification(
            nbeats=NBeatsNetwork(
                blocks=(NBeatsBlock(hidden_widths=(9, 4)), NBeatsBlock(hidden_widths=(3,))),
                dropout=0.1,
            )
        ),
        SERIES,
    ),
    "tcn": (NetworkSpecification(tcn=TcnNetwork(dropout=0.1)), SERIES),
    "pruned tcn": (
        NetworkSpecification(
            tcn=TcnNetwork(channels=(4, 4, 3), inner_channels=(2, 7, 1), kernel_size=2)
        ),
        SERIES,
    ),
    **{
        f"{kind} with {told}": (NetworkSpecification.model_validate({kind: {}}), network_input)
        for kind in ("series_linear", "nbeats", "tcn")
        for told, network_input in (
            ("covariates", COVARIATES),
            ("past columns", NetworkInput(window=21, past_columns=2)),
            ("known columns", NetworkInput(window=21, known_columns=2, season=7)),
        )
    },
}
RESNETS = [key for key in SPECIFICATIONS if "resnet" in key]


def completed(key: str) -> NetworkSpecification:
    specification, network_input = SPECIFICATIONS[key]
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


@pytest.mark.parametrize(
    "key", [key for key, (_, network_input) in SPECIFICATIONS.items() if network_input.image_shape]
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


@pytest.mark.parametrize("key", [key for key in SPECIFICATIONS if "transformer" in key])
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


@pytest.mark.parametrize("key", [key for key in SPECIFICATIONS if "text" in key or "bag" in key])
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
