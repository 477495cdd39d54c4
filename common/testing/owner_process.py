"""A process that owns a run as it is told: `python -m common.testing.owner_process RUN`.

It takes one command a line on standard input and answers each with a line. Losing the run does not
end it: what a lost owner cannot do, it cannot do even if it lives on and tries.

| Command | Answer |
| --- | --- |
| `acquire` | `acquired ATTEMPT`, or the reason of the error |
| `emit TEXT` | `stored SEQUENCE` once the event is stored, or the reason |
| `succeed` | `succeeded`, or the reason |
"""

import logging
import sys

from aimass.trainer.v1 import trainer_pb2
from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.errors import AimassError
from common.runs.kind import name_of
from common.runs.owner import RunOwner
from common.testing.sample_job import KIND


class _Puppet:
    """Does what the lines say."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._owner: RunOwner[trainer_pb2.TrainingRun] | None = None

    def answer(self, line: str) -> str:
        command, _, text = line.partition(" ")
        try:
            return self._do(command, text)
        except AimassError as error:
            return error.reason

    def _do(self, command: str, text: str) -> str:
        if command == "acquire":
            store = open_store(StoreSettings())
            self._owner = RunOwner.acquire(KIND, self._run, store)
            return f"acquired {self._owner.attempt}"
        assert self._owner is not None
        if command == "emit":
            self._owner.log(text)
            return f"stored {self._owner.flush()}"
        assert command == "succeed"
        self._owner.succeed(lambda run: run.labels.update({"winner": name_of(run)}))
        return "succeeded"


def main(run: str) -> None:
    """Answers lines until standard input ends."""
    logging.basicConfig(level=logging.ERROR)
    puppet = _Puppet(run)
    print("ready", flush=True)
    for line in sys.stdin:
        print(puppet.answer(line.strip()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
