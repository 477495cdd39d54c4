"""Means of embedded tokens as torch modules; see `common.networks.kinds.embedding_bag`."""

from torch import Tensor, nn

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.embedding_bag import EmbeddingBagNetwork
from common.networks.torch_kinds.base import State, TorchKind
from common.networks.torch_kinds.text import TextHeadModel, mean_of_tokens, resized_head

_SPREAD = 0.1
"""Of fresh embeddings: rare tokens keep theirs nearly, so that larger ones would be noise."""
_FACTOR = 1_000_003
"""Prime; spreads pairs of tokens over the rows of a table."""


class EmbeddingBagModel(nn.Module):
    """The mean of embedded tokens, that of embedded pairs of neighbours, and linear layers."""

    def __init__(
        self, settings: EmbeddingBagNetwork, network_input: NetworkInput, outputs: int
    ) -> None:
        """Makes the layers with fresh weights."""
        super().__init__()
        self.embedding = _embedding(network_input.vocabulary_size, settings.width)
        self.pairs = _embedding(settings.pairs, settings.width) if settings.pairs else None
        self.head = TextHeadModel(settings, settings.width, network_input, outputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `common.networks.modules.build_network`."""
        *columns, tokens = inputs
        text = mean_of_tokens(self.embedding(tokens), tokens)
        if self.pairs is not None:
            first, second = tokens[:, :-1], tokens[:, 1:]
            places = (first * _FACTOR + second) % self.pairs.num_embeddings
            text = text + mean_of_tokens(self.pairs(places), second)
        output: Tensor = self.head(text, columns)
        return output


def _embedding(count: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(count, width)
    nn.init.normal_(embedding.weight, std=_SPREAD)
    return embedding


def resized_embedding_bag(
    settings: EmbeddingBagNetwork, state: State
) -> tuple[EmbeddingBagNetwork, State]:
    """See `TorchKind.resized`."""
    width = int(state["embedding.weight"].shape[1])
    return settings.model_copy(update={"width": width, **resized_head(state)}), state


KIND = TorchKind(EmbeddingBagModel, resized_embedding_bag)
