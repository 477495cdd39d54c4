"""What networks of texts have in common as torch modules."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from common.networks.kinds.base import PADDING, NetworkInput
from common.networks.kinds.text import TextHead
from common.networks.torch_kinds.base import State, activation, weights, widths
from common.networks.torch_kinds.columns import category_embeddings, joined_columns


class TextHeadModel(nn.Module):
    """Linear layers of a text's vector and of the columns beside it."""

    def __init__(
        self, settings: TextHead, width: int, network_input: NetworkInput, outputs: int
    ) -> None:
        """Makes the layers with fresh weights.

        Args:
            settings: Complete.
            width: Of a text's vector.
            network_input: The data.
            outputs: Number of outputs.
        """
        super().__init__()
        self._has_numeric = network_input.numeric_columns > 0
        embedded = settings.embedding_widths
        self.embeddings = category_embeddings(network_input.category_sizes, embedded)
        columns = network_input.numeric_columns + sum(embedded)
        layers: list[nn.Module] = []
        sizes = [width + columns, *settings.hidden_head_widths]
        for inputs, units in pairwise(sizes):
            layers += [nn.Linear(inputs, units), activation(settings.activation)]
            if settings.dropout > 0:
                layers.append(nn.Dropout(settings.dropout))
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))

    def forward(self, text: Tensor, columns: Sequence[Tensor]) -> Tensor:
        """Returns [rows, outputs].

        Args:
            text: What texts have become, [rows, width].
            columns: Inputs of a table; none where there are none.
        """
        if columns:
            joined = joined_columns(columns, self._has_numeric, self.embeddings)
            text = torch.cat([text, joined], dim=1)
        output: Tensor = self.layers(text)
        return output


def is_token(tokens: Tensor) -> Tensor:
    """Returns where numbers are of tokens and not of padding, bool, of the same shape."""
    return tokens != PADDING


def mean_of_tokens(vectors: Tensor, tokens: Tensor) -> Tensor:
    """Returns the mean over a text's tokens without padding, [rows, width].

    Args:
        vectors: Of each token, [rows, tokens, width].
        tokens: Their numbers, [rows, tokens]. The mean of none is 0.
    """
    padding = (tokens == PADDING).unsqueeze(2)
    count = is_token(tokens).sum(dim=1, keepdim=True).clamp(min=1)
    return vectors.masked_fill(padding, 0.0).sum(dim=1) / count


def resized_head(state: State) -> dict[str, object]:
    """Returns what of the settings of a head its tensors tell."""
    *hidden, _ = widths(state, "head.layers.", 2)
    embedded = weights(state, "head.embeddings.", 2)
    return {
        "head_widths": tuple(hidden) or (0,),
        "embedding_widths": tuple(int(each.shape[1]) for each in embedded),
    }
