"""What attempts of runs that ended long ago left in the store: checkpoints, results of losers."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Generic

from common.artifacts.protocol import ObjectInfo, ObjectMissingError, ObjectStore
from common.artifacts.purge import purge_prefix
from common.maintenance.sweeping import Garbage
from common.records import RecordStore
from common.runs.kind import M, RunKind, is_terminal, name_of, run_prefix, status_of

_FOLDER = re.compile(r"attempts/\d+/[^/]+/")


class RunLeftovers(Generic[M]):
    """Finds and removes folders of attempts that no result of the run refers to.

    A run's results are what its own record holds, the outputs of its lineage, and the records that
    refer to it: a run may have failed after its version was made. What they hold as `s3://`
    addresses is needed.
    """

    def __init__(
        self, kind: RunKind[M], store: ObjectStore, records: RecordStore, keep: timedelta
    ) -> None:
        """Prepares.

        Args:
            kind: Kind of the runs.
            store: Where the attempts' folders are.
            records: The suite's resources.
            keep: How long after a run's end its leftovers stay, to look at.
        """
        self._kind = kind
        self._store = store
        self._records = records
        self._keep = keep

    def find(self, older_than: timedelta | None) -> Iterator[Garbage]:
        """Yields a folder at a time; see `Sweeper`."""
        keep = self._keep if older_than is None else older_than
        for record in self._records.find(self._kind.collection, self._kind.message):
            if is_terminal(record.resource):
                yield from self._of_run(record.resource, keep)

    def remove(self, garbage: Garbage) -> bool:
        """Deletes a folder; see `Sweeper`. Ended runs change no more, so that it is still true."""
        return purge_prefix(self._store, garbage.name)

    def _of_run(self, run: M, keep: timedelta) -> Iterator[Garbage]:
        folders = self._folders(name_of(run))
        old = {
            folder: infos
            for folder, infos in folders.items()
            if min(info.now - info.modified for info in infos) > keep
        }
        if not old:
            return
        needed = self._needed(run)
        for folder, infos in old.items():
            if not any(
                address.startswith(f"s3://{self._store.bucket}/{folder}") for address in needed
            ):
                yield _garbage(folder, infos)

    def _folders(self, name: str) -> dict[str, list[ObjectInfo]]:
        prefix = run_prefix(name)
        folders: dict[str, list[ObjectInfo]] = {}
        for info in self._store.list(f"{prefix}attempts/"):
            found = _FOLDER.match(info.key, len(prefix))
            if found:
                folders.setdefault(f"{prefix}{found[0]}", []).append(info)
        return folders

    def _needed(self, run: M) -> set[str]:
        """Returns the addresses that the run's results hold."""
        needed: set[str] = set()
        name = name_of(run)
        results = {name, *status_of(run).lineage.outputs, *self._records.referrers(name)}
        for result in results:
            try:
                data, _ = self._store.read(f"records/{result}.json")
            except ObjectMissingError:
                continue
            needed.update(_addresses(json.loads(data)))
        return needed


def _addresses(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith("s3://"):
            yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _addresses(each)
    elif isinstance(value, list):
        for each in value:
            yield from _addresses(each)


def _garbage(folder: str, infos: list[ObjectInfo]) -> Garbage:
    is_checkpoint = folder.endswith("/checkpoints/")
    return Garbage(
        name=folder,
        kind="checkpoints" if is_checkpoint else "attempt",
        reason="The run has ended." if is_checkpoint else "No result of the run refers to it.",
        object_count=len(infos),
        size_bytes=sum(info.size for info in infos),
        age=min(info.now - info.modified for info in infos),
    )
