"""All kinds of networks as torch modules."""

from typing import Any

from common.networks.torch_kinds.base import TorchKind
from common.networks.torch_kinds.cnn import CnnModel, resized_cnn
from common.networks.torch_kinds.embedding_bag import EmbeddingBagModel, resized_embedding_bag
from common.networks.torch_kinds.ft_transformer import FtTransformerModel
from common.networks.torch_kinds.linear import LinearModel
from common.networks.torch_kinds.mlp import MlpModel, resized_mlp
from common.networks.torch_kinds.nbeats import NBeatsModel, resized_nbeats
from common.networks.torch_kinds.residual_mlp import ResidualMlpModel, resized_residual_mlp
from common.networks.torch_kinds.resnet import ResNetModel, resized_resnet
from common.networks.torch_kinds.series_linear import SeriesLinearModel
from common.networks.torch_kinds.tcn import TcnModel, resized_tcn
from common.networks.torch_kinds.text_transformer import (
    TextTransformerModel,
    resized_text_transformer,
)
from common.networks.torch_kinds.transformer import resized_transformer

TORCH_KINDS: dict[str, TorchKind[Any]] = {
    "linear": TorchKind(LinearModel),
    "mlp": TorchKind(MlpModel, resized_mlp),
    "residual_mlp": TorchKind(ResidualMlpModel, resized_residual_mlp),
    "ft_transformer": TorchKind(FtTransformerModel, resized_transformer),
    "cnn": TorchKind(CnnModel, resized_cnn),
    "resnet": TorchKind(ResNetModel, resized_resnet),
    "series_linear": TorchKind(SeriesLinearModel),
    "nbeats": TorchKind(NBeatsModel, resized_nbeats),
    "tcn": TorchKind(TcnModel, resized_tcn),
    "embedding_bag": TorchKind(EmbeddingBagModel, resized_embedding_bag),
    "text_transformer": TorchKind(TextTransformerModel, resized_text_transformer),
}
"""By the names of `common.networks.specification.KINDS`."""
