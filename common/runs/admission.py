"""Which runs get a process, and in which order, where their number is not all that counts."""

from collections.abc import Collection, Sequence
from typing import Generic, Protocol, TypeVar

from google.protobuf.message import Message

from common.runs.kind import name_of

M_contra = TypeVar("M_contra", bound=Message, contravariant=True)


class Admission(Protocol[M_contra]):
    """What an executor asks before it starts processes; it waits for the answers."""

    def rank(self, run: M_contra) -> int:
        """Returns a run's rank: the smaller, the earlier. Those of one rank come by age.

        Runs of a rank may have as many processes as the executor's limit says, whatever runs of
        larger ranks have.
        """
        ...

    def admit(self, due: Sequence[M_contra], working: Collection[str]) -> Collection[str]:
        """Says which runs may have a process now.

        Args:
            due: The runs without one, in order. A call counts as the newest word on all of them.
            working: Names of the runs with one.
        """
        ...


class EveryRun(Generic[M_contra]):
    """All runs alike, as long as there is room."""

    def rank(self, run: M_contra) -> int:
        """See `Admission`."""
        return 0

    def admit(self, due: Sequence[M_contra], working: Collection[str]) -> Collection[str]:
        """See `Admission`."""
        return {name_of(run) for run in due}
