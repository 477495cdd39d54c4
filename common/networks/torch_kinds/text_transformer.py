"""Transformer encoders for texts as torch modules; see `common.networks.kinds.text_transformer`."""

import torch
from torch import Tensor, nn

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.text_transformer import TextTransformerNetwork
from common.networks.torch_kinds.base import State, TorchKind
from common.networks.torch_kinds.text import (
    TextHeadModel,
    is_token,
    mean_of_tokens,
    resized_head,
)
from common.networks.torch_kinds.transformer import EncoderBlocks, resized_transformer


class TextTransformerModel(nn.Module):
    """Embedded tokens with their places, blocks, the mean of tokens, and linear layers."""

    def __init__(
        self, settings: TextTransformerNetwork, network_input: NetworkInput, outputs: int
    ) -> None:
        """Makes the layers with fresh weights."""
        super().__init__()
        width = settings.width
        self.embedding = nn.Embedding(network_input.vocabulary_size, width)
        self.places = nn.Parameter(torch.empty(network_input.text_length, width))
        for table in (self.embedding.weight, self.places):
            nn.init.normal_(table, std=width**-0.5)
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = EncoderBlocks(settings)
        self.norm = nn.LayerNorm(width)
        self.head = TextHeadModel(settings, width, network_input, outputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `common.networks.modules.build_network`."""
        *columns, tokens = inputs
        vectors = self.dropout(self.embedding(tokens) + self.places[: tokens.shape[1]])
        mask = is_token(tokens).unsqueeze(1).unsqueeze(1)
        vectors = self.norm(self.blocks(vectors, mask))
        output: Tensor = self.head(mean_of_tokens(vectors, tokens), columns)
        return output


def resized_text_transformer(
    settings: TextTransformerNetwork, state: State
) -> tuple[TextTransformerNetwork, State]:
    """See `TorchKind.resized`."""
    settings, state = resized_transformer(settings, state)
    return settings.model_copy(update=resized_head(state)), state


KIND = TorchKind(TextTransformerModel, resized_text_transformer)
