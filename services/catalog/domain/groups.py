"""Groups of a grouped split: how they are told apart, and what an older version has of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aimass.catalog.v1 import dataset_pb2
from common.artifacts import ObjectStore
from common.data.reader import stream_stored
from common.data.schema import Part
from common.data.split import Hashes, Keys, KeyTally, Parts
from services.catalog.domain.sketch import hash_texts


def group_keys(values: pa.Array, seed: int) -> Hashes:
    """Returns a hash of each row's group; rows without a group are one group.

    Args:
        values: A column as it is stored.
        seed: Of the split.
    """
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        values = values.cast(pa.float64())  # 1 and 1.0 are one group, however they are stored
    encoded = values.cast(pa.string()).dictionary_encode()
    hashes = hash_texts([f"{seed} {group}" for group in encoded.dictionary.to_pylist()] + [""])
    keys: Hashes = hashes[pc.fill_null(encoded.indices, len(hashes) - 1).to_numpy()]
    return keys


@dataclass(frozen=True)
class RowsBefore:
    """The labels and groups of a version to which rows are appended.

    Attributes:
        version: The version.
        store: Where its shards are.
    """

    version: dataset_pb2.DatasetVersion
    store: ObjectStore

    def labels(self, column: str) -> list[str]:
        """Returns the labels of a categorical column; none of any other."""
        found = (each for each in self.version.schema.columns if each.name == column)
        return [label for each in found for label in each.categories]

    def read(self, column: str, seed: int, watch: Callable[[], None]) -> tuple[Keys, Parts]:
        """Returns the distinct keys of the groups and the part of each; reads all shards.

        The version must be split by these groups.

        Args:
            column: Says which group a row is of.
            seed: Of the hashes.
            watch: Called now and then; may raise to stop.

        Raises:
            DataLossError: A shard does not match its digest.
        """
        tallies = {part: KeyTally() for part in Part}
        for values, parts in stream_stored(self.version, self.store, column):
            keys = group_keys(values.combine_chunks(), seed)
            for part, tally in tallies.items():
                tally.add(keys[parts == part])
            watch()
        found = {part: tally.counts()[0] for part, tally in tallies.items()}
        parts = np.repeat(np.array(list(found), np.uint8), [len(keys) for keys in found.values()])
        return np.concatenate(list(found.values())), parts
