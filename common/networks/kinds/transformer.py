"""Blocks of Transformer encoders, which tables and texts have in common.

Sources: Vaswani et al., "Attention Is All You Need", 2017; normalisation comes first, as in Xiong
et al., "On Layer Normalization in the Transformer Architecture", 2020.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from common.networks.kinds.base import ActivationName, NetworkKind, Specification
from common.networks.kinds.costs import NOTHING, NetworkCost

TokenWidth = Annotated[int, Field(ge=1, le=4_096)]


class TransformerBlock(Specification):
    """Attention and two linear layers; see `aimass.type.v1.TransformerBlock`."""

    heads: int | None = Field(None, ge=0, le=256)
    inner_width: int | None = Field(None, ge=0, le=65_536)


class TransformerNetwork(NetworkKind):
    """Base: what both kinds of Transformers have."""

    width: TokenWidth = 64
    head_width: int = Field(16, ge=1, le=1_024)
    blocks: tuple[TransformerBlock, ...] = Field((), max_length=64)
    activation: ActivationName = "gelu"
    dropout: float = Field(0.1, ge=0, lt=1)

    @property
    def completed_blocks(self) -> tuple[TransformerBlock, ...]:
        """The blocks, by default two, with the widths that they have by default."""
        return tuple(map(self._completed_block, self.blocks or (TransformerBlock(),) * 2))

    def blocks_cost(self, tokens: int) -> NetworkCost:
        """Returns the cost of all blocks for this many tokens a row."""
        total = NOTHING
        for block in self.blocks:
            total += self._attention_cost(block, tokens) + self._inner_cost(block, tokens)
        return total

    def block_layer_names(self) -> Iterator[str]:
        """Yields the names of the blocks' layers."""
        for place, block in enumerate(self.blocks):
            if block.heads:
                names = ("query", "key", "value", "output")
                yield from (f"blocks.{place}.attention.{name}" for name in names)
            if block.inner_width:
                yield from (f"blocks.{place}.linear1", f"blocks.{place}.linear2")

    def _completed_block(self, block: TransformerBlock) -> TransformerBlock:
        heads, inner = block.heads, block.inner_width
        return TransformerBlock(
            heads=max(1, self.width // self.head_width) if heads is None else heads,
            inner_width=2 * self.width if inner is None else inner,
        )

    def _attention_cost(self, block: TransformerBlock, tokens: int) -> NetworkCost:
        if not block.heads:
            return NOTHING
        inner = block.heads * self.head_width
        weights = 4 * self.width * inner
        return norm_cost(self.width, tokens) + NetworkCost(
            parameters=weights + 3 * inner + self.width,
            multiplications=weights * tokens + 2 * inner * tokens**2,
            activations=(4 * inner + block.heads) * tokens,
        )

    def _inner_cost(self, block: TransformerBlock, tokens: int) -> NetworkCost:
        inner = block.inner_width
        if not inner:
            return NOTHING
        weights = 2 * self.width * inner
        return norm_cost(self.width, tokens) + NetworkCost(
            parameters=weights + inner + self.width,
            multiplications=weights * tokens,
            activations=2 * inner * tokens,
        )


def norm_cost(width: int, tokens: int) -> NetworkCost:
    """Returns the cost of normalising tokens, each by itself."""
    return NetworkCost(2 * width, 0, (2 * width + 2) * tokens)
