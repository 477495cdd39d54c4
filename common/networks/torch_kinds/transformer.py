"""Blocks of Transformer encoders as torch modules; see `common.networks.kinds.transformer`."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.networks.kinds.transformer import TransformerBlock, TransformerNetwork
from common.networks.torch_kinds.base import State, activation, renumbered

Kind = TypeVar("Kind", bound=TransformerNetwork)


class EncoderBlocks(nn.ModuleList):
    """All blocks, one after the other."""

    def __init__(self, settings: TransformerNetwork) -> None:
        """Makes the layers with fresh weights."""
        super().__init__(EncoderBlock(settings, block) for block in settings.blocks)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Takes and returns [rows, tokens, width].

        Args:
            tokens: What goes in.
            mask: Where tokens are that may be looked at, bool [rows, 1, 1, tokens]; at least one
                in each row. None for all.
        """
        for block in self:
            tokens = block(tokens, mask)
        return tokens


class EncoderBlock(nn.Module):
    """Attention, then two linear layers; each normalises what goes in, and adds to it.

    A part of no heads or of no inner width is not there.
    """

    def __init__(self, settings: TransformerNetwork, block: TransformerBlock) -> None:
        """Makes the layers with fresh weights."""
        super().__init__()
        width, inner = settings.width, block.inner_width
        self.dropout = nn.Dropout(settings.dropout)
        self.attention: Attention | None = None
        if block.heads:
            self.norm1 = nn.LayerNorm(width)
            self.attention = Attention(width, block.heads, settings.head_width)
        self.linear1: nn.Linear | None = None
        if inner:
            self.norm2 = nn.LayerNorm(width)
            self.linear1 = nn.Linear(width, inner)
            self.activation = activation(settings.activation)
            self.linear2 = nn.Linear(inner, width)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """See `EncoderBlocks`."""
        if self.attention is not None:
            tokens = tokens + self.dropout(self.attention(self.norm1(tokens), mask))
        if self.linear1 is not None:
            inner = self.dropout(self.activation(self.linear1(self.norm2(tokens))))
            tokens = tokens + self.linear2(inner)
        return tokens


class Attention(nn.Module):
    """Self-attention; queries, keys and values have a layer each, so that heads can go."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        """Makes the layers with fresh weights."""
        super().__init__()
        self._heads = (heads, head_width)
        self.query = nn.Linear(width, heads * head_width)
        self.key = nn.Linear(width, heads * head_width)
        self.value = nn.Linear(width, heads * head_width)
        self.output = nn.Linear(heads * head_width, width)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """See `EncoderBlocks`."""
        query, key, value = (
            self._by_head(layer(tokens)) for layer in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output

    def _by_head(self, tokens: Tensor) -> Tensor:
        """Takes [rows, tokens, heads x width], returns [rows, heads, tokens, width]."""
        return torch.unflatten(tokens, 2, self._heads).transpose(1, 2)


def resized_transformer(settings: Kind, state: State) -> tuple[Kind, State]:
    """See `TorchKind.resized`."""
    state = renumbered(state, r"blocks\.")
    blocks: list[TransformerBlock] = []
    numbers = {name.split(".")[1] for name in state if name.startswith("blocks.")}
    for place in range(len(numbers)):
        query, inner = (
            state.get(f"blocks.{place}.{name}.weight") for name in ("attention.query", "linear1")
        )
        heads = 0 if query is None else len(query) // settings.head_width
        blocks.append(TransformerBlock(heads=heads, inner_width=0 if inner is None else len(inner)))
    return settings.model_copy(update={"blocks": tuple(blocks)}), state
