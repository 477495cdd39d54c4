"""Networks of every kind with what goes in; tests of all kinds go through them."""

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
)

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
EXAMPLES: dict[str, tuple[NetworkSpecification, NetworkInput]] = {
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
