"""Texts as numbers of tokens: byte-level pairs of bytes, learned from the training rows.

Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016; over
bytes as in Radford et al., "Language Models are Unsupervised Multitask Learners", 2019. Every text
can be said in such tokens, and read from them again.
"""

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from common.models.preprocessing import TextColumns
from common.networks.kinds.base import PADDING

# Its threads do not survive a fork, and workers are forks; where it is not told, it warns of them.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)  # fmt: skip

Texts = npt.NDArray[np.generic]
"""Objects: texts, and None for missing."""

_PADDING, _START = "[PAD]", "[START]"
_LEAST_COUNT = 2
"""Pairs that come less often become no token."""
_AT_ONCE = 10_000


def trained_tokenizer(texts: Iterable[str], vocabulary_size: int, max_length: int) -> str:
    """Returns a tokenizer that was trained on texts, as JSON of the library `tokenizers`.

    It begins each text with a token of its own, so that none is empty, cuts it after `max_length`
    tokens and fills it up to these. The same texts give the same tokenizer.

    Args:
        texts: What it learns from.
        vocabulary_size: Most tokens, at least one for each byte and two more.
        max_length: Tokens of a text.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=_LEAST_COUNT,
        special_tokens=[_PADDING, _START],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    assert tokenizer.token_to_id(_PADDING) == PADDING
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A", special_tokens=[(_START, tokenizer.token_to_id(_START))]
    )
    tokenizer.enable_truncation(max_length)
    tokenizer.enable_padding(pad_id=PADDING, pad_token=_PADDING, length=max_length)
    return str(tokenizer.to_str())


@lru_cache(maxsize=4)
def tokenizer_of(text: TextColumns) -> "TextTokenizer":
    """Returns the tokenizer of fitted columns; opening a large one takes 50 ms."""
    return TextTokenizer(text)


class Thinned:
    """Some of many texts, evenly from all: every one, every second, every fourth, and so on.

    Attributes:
        kept: The texts.
    """

    def __init__(self, letters: int) -> None:
        """Begins with none.

        Args:
            letters: Most letters to keep.
        """
        self.kept: list[str] = []
        self._room = letters
        self._letters = 0
        self._step = 1
        self._seen = 0

    def add(self, texts: Sequence[str]) -> None:
        """Takes more texts in, in order."""
        for text in texts:
            if self._seen % self._step == 0:
                self.kept.append(text)
                self._letters += len(text)
            self._seen += 1
            while self._letters > self._room and len(self.kept) > 1:
                self._step *= 2
                self.kept = self.kept[::2]
                self._letters = sum(map(len, self.kept))


class TextTokenizer:
    """Turns texts into numbers of tokens."""

    def __init__(self, text: TextColumns) -> None:
        """Opens the tokenizer.

        Args:
            text: The columns, fitted.
        """
        self._tokenizer = Tokenizer.from_str(text.tokenizer)
        self._length = text.max_length

    def tokens(self, columns: Sequence[Texts]) -> npt.NDArray[np.int64]:
        """Returns the tokens of rows, shape (rows, `max_length`), 0 behind a text's end.

        Args:
            columns: The text columns, in order, each of shape (rows,).
        """
        return self.tokens_of(joined_texts(columns))

    def tokens_of(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Returns the tokens of joined texts; see `tokens`."""
        found = np.zeros((len(texts), self._length), np.int64)
        for start in range(0, len(texts), _AT_ONCE):
            encoded = self._tokenizer.encode_batch_fast(texts[start : start + _AT_ONCE])
            for row, each in enumerate(encoded, start):
                found[row] = each.ids
        return found

    def texts(self, tokens: npt.NDArray[np.int64]) -> list[str]:
        """Returns the joined texts that tokens stand for, as far as these go.

        Args:
            tokens: Shape (rows, tokens), of any number of them.
        """
        decoded = self._tokenizer.decode_batch(tokens.tolist(), skip_special_tokens=True)
        # The first word got a space before it, so that it is the token of that word elsewhere.
        return [text.removeprefix(" ") for text in decoded]


def joined_texts(columns: Sequence[Texts]) -> list[str]:
    """Returns the texts of rows: of several columns one after the other, a line each.

    Args:
        columns: See `TextTokenizer.tokens`; missing is as an empty text.
    """
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return ["\n".join("" if each is None else str(each) for each in row) for row in rows]
