"""How long a run waits for workers, and what it says of that. No clock of its own."""

from aimass.trainer.v1 import trainer_pb2
from services.trainer.coordinator.crew import CrewSize
from services.trainer.coordinator.errors import NotEnoughWorkersError

_ANNOUNCE_SECONDS = 0.5
_OTHERS_HAVE_THEM = {
    trainer_pb2.WAIT_REASON_SLOTS: "other runs have the slots",
    trainer_pb2.WAIT_REASON_RESERVED: "a run before it has waited for long",
}


class Waiting:
    """One time of waiting."""

    def __init__(self, size: CrewSize, patience: float, now: float) -> None:
        """Begins.

        Args:
            size: How many workers the run uses.
            patience: Seconds for which it waits for those it wants, where it has its minimum.
            now: Seconds of a monotonic clock.
        """
        self._size = size
        self._patience = patience
        self._began = now
        self._lacking_since = now
        self._is_announced = False

    def is_over(self, slots: int, now: float) -> bool:
        """Whether so many slots are enough to go on with."""
        is_patient = now - self._began < self._patience
        return slots >= (self._size.wanted if is_patient else self._size.min)

    def check(self, slots: int, place: trainer_pb2.QueuePlace | None, now: float) -> None:
        """Looks at the time limit, which runs only while it is not others that have the slots.

        Args:
            slots: Slots that are there.
            place: The run's place in the pool's queue; None for none.
            now: The time.

        Raises:
            NotEnoughWorkersError: It is over.
        """
        if slots >= self._size.min or (place is not None and place.reason in _OTHERS_HAVE_THEM):
            self._lacking_since = now
        waited = now - self._lacking_since
        if waited >= self._size.wait_seconds:
            raise NotEnoughWorkersError(slots, self._size.min, waited)

    def announcement(self, slots: int, place: trainer_pb2.QueuePlace | None, now: float) -> str:
        """Returns what the run's watchers are to be told now; empty for nothing."""
        least = self._size.min
        if self._is_announced or slots >= least or now - self._began < _ANNOUNCE_SECONDS:
            return ""
        self._is_announced = True
        text = f"waiting for workers: {slots} of at least {least} are there"
        if place is None or place.reason not in _OTHERS_HAVE_THEM:
            return text
        behind = f" ({place.behind})" if place.behind else ""
        why = _OTHERS_HAVE_THEM[place.reason]
        return f"{text}; {why}{behind}; place {place.position} in the queue"
