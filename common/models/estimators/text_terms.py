"""Which words, or pieces of words, a text has."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

from common.models.estimators.packing import Packed

WORDS, CHARACTERS = "word", "char_wb"

_HASHED = 2**18
_WORD = r"(?u)\b\w+\b"
_SHORTEST_PIECE = 2


class TextTerms(Packed, TransformerMixin, BaseEstimator):
    """Rates the terms of texts by TF-IDF, with the logarithm of counts and rows of length 1.

    Attributes:
        kind: `WORDS` for words and pairs of them, `CHARACTERS` for pieces within words.
        longest: So many words or characters are a term at most.
        least: Terms in fewer texts are left out.
        most: So many terms are kept at most, the most frequent ones.
        is_hashed: Whether terms are told apart by a hash: nothing is left out, no list is kept.
        terms_: The terms, in the order of the columns; empty if hashed.
        rarity_: Logarithm of the inverse share of texts with each term.
    """

    packed = ("terms_",)
    derived = ("_own",)

    def __init__(
        self,
        kind: str = WORDS,
        longest: int = 1,
        least: int = 2,
        most: int = 50_000,
        is_hashed: bool = False,
    ) -> None:
        """Takes what is to be done; see the class."""
        self.kind = kind
        self.longest = longest
        self.least = least
        self.most = most
        self.is_hashed = is_hashed

    def fit(self, texts: Sequence[str], truth: Any = None) -> "TextTerms":
        """Learns the terms."""
        self.fit_transform(texts, truth)
        return self

    def fit_transform(self, texts: Sequence[str], truth: Any = None, **_: Any) -> Any:
        """Learns the terms and returns how the texts rate."""
        self.__dict__.pop("_own", None)
        self.terms_: list[str] = []
        counts = self._counted(texts) if self.is_hashed else self._learned(texts)
        found = np.bincount(counts.indices, minlength=counts.shape[1])
        self.rarity_ = np.log((1 + len(texts)) / (1 + found)) + 1
        return self._rated(counts)

    def transform(self, texts: Sequence[str]) -> Any:
        """Returns how texts rate, sparse float64 (texts, terms)."""
        return self._rated(self._counted(texts))

    def _learned(self, texts: Sequence[str]) -> Any:
        least = min(self.least, max(len(texts) // 2, 1))
        vectorizer = CountVectorizer(
            **self._way(), min_df=least, max_features=self.most, dtype=np.float64
        )
        try:
            counts = vectorizer.fit_transform(texts)
        except ValueError:  # There are no words, or none that occurs so often.
            return sparse.csr_matrix((len(texts), 0))
        self.terms_ = vectorizer.get_feature_names_out().tolist()
        return counts

    def _rated(self, counts: Any) -> Any:
        rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        ratings = (1 + np.log(counts.data)) * self.rarity_[counts.indices]
        lengths = np.sqrt(np.bincount(rows, ratings**2, counts.shape[0]))
        cells = (ratings / lengths[rows], counts.indices, counts.indptr)
        return sparse.csr_matrix(cells, counts.shape)

    def _counted(self, texts: Sequence[str]) -> Any:
        """Returns what a count vectorizer does, without what that costs a single text."""
        if self.is_hashed:
            return self._hasher().transform(texts)
        analyze, columns = self._tools()
        places: list[int] = []
        ends = [0]
        for text in texts:
            places += [columns[term] for term in analyze(text) if term in columns]
            ends.append(len(places))
        shape = (len(texts), len(self.terms_))
        counts = sparse.csr_matrix((np.ones(len(places)), np.array(places, int), ends), shape)
        counts.sum_duplicates()
        return counts

    def _tools(self) -> tuple[Any, dict[str, int]]:
        if "_own" not in self.__dict__:
            analyze = CountVectorizer(**self._way()).build_analyzer()
            self._own = (analyze, {term: place for place, term in enumerate(self.terms_)})
        return self._own

    def _hasher(self) -> Any:
        # Counts must be positive, and the same as of a vocabulary.
        return HashingVectorizer(**self._way(), n_features=_HASHED, alternate_sign=False, norm=None)

    def _way(self) -> dict[str, Any]:
        if self.kind != WORDS:
            lengths = (min(_SHORTEST_PIECE, self.longest), self.longest)
            return {"analyzer": self.kind, "ngram_range": lengths}
        return {"ngram_range": (1, self.longest), "token_pattern": _WORD}
