"""Which words the model goes by: each is left out in turn."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows
from common.data.schema import ColumnType
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.shapley import explained_output
from services.analyzer.domain.sample import with_column
from services.analyzer.domain.subject import Subject

Positions = npt.NDArray[np.int64]

MOST_TOKENS = 60
_COLUMNS = 3
_ROWS = 200
_FEWEST_ROWS = 10
_SHOWN_ROWS = 6
_SHOWN_TOKENS = 30
_USUAL = 3
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class TokenEffect:
    """What a token adds to the explained output, over the rows that have it.

    Attributes:
        token: In lower case.
        mean: Mean of what the output loses without it.
        rows: How many of the rows have it.
    """

    token: str
    mean: float
    rows: int


@dataclass(frozen=True)
class ReadText:
    """A text with the weight of its tokens.

    Attributes:
        row: Number in the data set version.
        output: Name of the explained output.
        tokens: In order; of long texts the first.
        weights: What the output loses without each.
    """

    row: int
    output: str
    tokens: tuple[str, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class TextImportance:
    """What of a column of texts the model goes by.

    Attributes:
        column: Its name.
        row_count: Rows that were read.
        tokens: Those with the largest mean effect, at most 30, of those in some rows.
        texts: A few rows.
    """

    column: str
    row_count: int
    tokens: tuple[TokenEffect, ...]
    texts: tuple[ReadText, ...]


def text_columns(subject: Subject) -> tuple[str, ...]:
    """Returns the columns of texts that the model takes, at most 3."""
    known = subject.sample.columns
    features = [name for name in subject.model.features if name in known]
    return tuple(name for name in features if known[name].type is ColumnType.TEXT)[:_COLUMNS]


def text_importance(subject: Subject, budget: Budget, column: str) -> TextImportance:
    """Returns what the output loses when each of the first 60 tokens of a text is left out."""
    texts = subject.sample.raw.columns[column]
    present = [row for row, text in enumerate(texts.tolist()) if text]
    generator = np.random.default_rng(subject.settings.seed)
    order = generator.permutation(np.array(present, np.int64))
    length = np.mean([len(_spans(texts[row])) for row in order[:_ROWS].tolist()] or [1])
    wanted = min(_ROWS, len(order))
    count = budget.affords(wanted, float(length) * subject.seconds_per_row, _FEWEST_ROWS)
    read = []
    for row in order[:count].tolist():
        budget.check()
        read.append(_read(subject, column, row))
    return TextImportance(column, len(read), _effects(read), tuple(_telling(read)))


def _spans(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in _TOKEN.finditer(text)][:MOST_TOKENS]


def _read(subject: Subject, column: str, row: int) -> ReadText:
    raw = subject.sample.raw.take(np.array([row]))
    text = str(raw.columns[column][0])
    spans = _spans(text)
    output = int(explained_output(subject)[row])
    name = subject.model.outputs[output]
    number = int(subject.sample.numbers[row])
    if not spans:
        return ReadText(number, name, (), ())
    shorter = np.array([text[:start] + text[end:] for start, end in spans], dtype=object)
    outputs = subject.predict(with_column(_repeated(raw, len(shorter)), column, shorter))
    weights = subject.outputs[row, output] - outputs[:, output]
    tokens = tuple(text[start:end] for start, end in spans)
    return ReadText(number, name, tokens, tuple(weights.tolist()))


def _repeated(raw: RawRows, times: int) -> RawRows:
    columns = {name: np.repeat(each, times, axis=0) for name, each in raw.columns.items()}
    return RawRows(columns, raw.labels)


def _effects(read: Sequence[ReadText]) -> tuple[TokenEffect, ...]:
    """Returns the tokens with the largest effect, of those that are in at least 3 rows."""
    found: Mapping[str, list[float]] = defaultdict(list)
    for text in read:
        own: Mapping[str, list[float]] = defaultdict(list)
        for token, weight in zip(text.tokens, text.weights, strict=True):
            own[token.lower()].append(weight)
        for token, weights in own.items():
            found[token].append(float(np.mean(weights)))
    least = min(_USUAL, max((len(each) for each in found.values()), default=0))
    effects = [
        TokenEffect(token, float(np.mean(each)), len(each))
        for token, each in found.items()
        if len(each) >= least
    ]
    effects.sort(key=lambda effect: (-abs(effect.mean), effect.token))
    return tuple(effects[:_SHOWN_TOKENS])


def _telling(read: Sequence[ReadText]) -> list[ReadText]:
    """Returns the texts in which some token matters most."""
    heavy = sorted(read, key=lambda text: -max(map(abs, text.weights), default=0.0))
    return [text for text in heavy if text.tokens][:_SHOWN_ROWS]
