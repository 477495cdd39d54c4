"""Trains while the hosts' memory for commits is full: `python -m tests.support.full_memory FOLDER`.

To be run in a mount namespace of its own: it puts a small file system in place of /dev/shm. Prints
the run and its log lines as JSON.
"""

import contextlib
import fcntl
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from google.protobuf import json_format

from common.testing.suite import running_suite
from services.trainer.worker.commits import SPARE_NAME
from tests.e2e.faults import follow_until_epoch, specification

_MEMORY = Path("/dev/shm")
_SIZE = 32 * 1024**2


def _fill() -> None:
    """Takes all the room that is left."""
    with (_MEMORY / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def _hold(stack: contextlib.ExitStack) -> None:
    """Holds on to the old commits as readers do: the next ones need new room then."""
    for spare in _MEMORY.rglob(SPARE_NAME):
        file = stack.enter_context(spare.open("rb"))
        fcntl.flock(file, fcntl.LOCK_SH)


def main() -> None:
    """Fills the memory in the middle of a run, for good."""
    folder = Path(sys.argv[1])
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(_MEMORY)]
    subprocess.run(mount, check=True)
    values = np.random.default_rng(7).uniform(size=(2000, 2))
    rows = "\n".join(["a,b,y", *(f"{a},{b},{a - b}" for a, b in values)])
    with running_suite(folder) as suite, contextlib.ExitStack() as stack:
        name = suite.create_run(specification(suite.import_dataset("t", "t.csv", rows.encode())))
        stream = suite.watch_run(name)
        events = follow_until_epoch(stream, 5)
        _fill()
        _hold(stack)
        events += stream
        run = json_format.MessageToDict(suite.get_run(name))
    print(json.dumps({"run": run, "lines": [event.log_line.text for event in events]}))


if __name__ == "__main__":
    main()
