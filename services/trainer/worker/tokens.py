"""Texts of a data set as tokens, made once per host."""

from collections.abc import Mapping

import numpy as np

from aimass.catalog.v1 import dataset_pb2
from common.artifacts.protocol import ObjectStore
from common.data.cache import Derivation, HostCache
from common.data.storage import Values
from common.models.preprocessing import TextColumns
from common.models.tokenization import tokenizer_of

_TOKENS = "tokens"


def cached_tokens(
    cache: HostCache, version: dataset_pb2.DatasetVersion, store: ObjectStore, text: TextColumns
) -> Values:
    """Returns the tokens of all rows, uint16 [rows, `max_length`], as a memory map.

    Args:
        cache: Decoded data of this host.
        version: The data, with its shards.
        store: Where the shards are.
        text: The text columns, fitted.

    Raises:
        DataLossError: A shard does not match its digest.
        OSError: The disk is full.
    """

    def tokens(columns: Mapping[str, Values]) -> Mapping[str, Values]:
        found = tokenizer_of(text).tokens([columns[name] for name in text.names])
        return {_TOKENS: found.astype(np.uint16)}

    derivation = Derivation(text.names, text.model_dump_json(), tokens)
    return cache.derived(version, store, derivation)[_TOKENS]
