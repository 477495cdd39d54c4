"""A full queue: `make bench NAME=queue`.

32 agents and 200 runs; every unary call of the trainer is timed while the queue is worked off.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from common.identity import Role
from common.testing.minio import MinioServer
from common.testing.server import TOKENS
from tests.benchmarks.harness import Aim, Measure, publish, repeats, say

_AGENTS = 32
_LIMIT_MS = 50.0
_SHARES = (("p50", 0.5), ("p99", 0.99), ("p100", 1.0))
_NOTES = [
    "Milliseconds, as the caller sees them unless said otherwise.",
    "Simulated: agents fork no workers and runs train nothing (they hold their agents for 0.5 to "
    "3 s); specifications are taken as they are, so that Create asks no catalog.",
    "Real: the trainer with its executor, MinIO, the agents' own code around Join and Attach, a "
    "process for each run (forked from one that has imported all) with lease, events and Recruit.",
    "Theirs: a health call to a server that does nothing, made beside the others: what the machine "
    "adds to a call. All processes share its processors.",
]


@contextmanager
def _module(name: str, *arguments: str, environment: dict[str, str]) -> Iterator[IO[str]]:
    """Runs a module; it is to end when its standard input does."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.benchmarks.queue.{name}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.stdin.close()
        process.kill()
        process.wait()


def measure(runs: int, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Works a queue off.

    Args:
        runs: Runs in it.
        folder: For the store and for logs.

    Returns:
        What the caller and what the trainer measured.
    """
    minio = MinioServer(folder)
    minio.start()
    settings = minio.settings
    environment = {
        "AIMASS_S3_ENDPOINT": settings.endpoint,
        "AIMASS_S3_ACCESS_KEY": settings.access_key,
        "AIMASS_S3_SECRET_KEY": settings.secret_key,
        "AIMASS_LOG_DIR": str(folder / "logs"),
        "AIMASS_TOKEN": TOKENS[Role.SERVICE],
        "AIMASS_TRAINER_MAX_RUNS": "32",
        "AIMASS_SUITE": folder.name,
        "GRPC_VERBOSITY": "NONE",
    }
    with ExitStack() as stack:
        stack.callback(minio.stop)
        trainer = _Trainer(folder, environment)
        stack.callback(trainer.end)
        environment["AIMASS_TRAINER_ADDRESS"] = trainer.address
        jobs = stack.enter_context(_module("jobs", str(folder), environment=environment))
        jobs.readline()
        bare = stack.enter_context(_module("bare", environment=environment)).readline().strip()
        stack.enter_context(_module("agents", str(_AGENTS), environment=environment))
        command = (trainer.address, bare, str(runs), "0")
        found = stack.enter_context(_module("meter", *command, environment=environment)).read()
        return json.loads(found), trainer.end()


class _Trainer:
    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.queue.server", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        self._found: dict[str, Any] = {}

    def end(self) -> dict[str, Any]:
        """Ends it, and returns what it measured."""
        if self._process.poll() is None:
            answer = self._process.communicate()[0]
            self._found = json.loads(answer)
        return self._found


def main() -> None:
    """Measures, prints the table, writes the file."""
    runs = repeats(200, 30)
    say(f"{runs} runs on {_AGENTS} agents")
    with tempfile.TemporaryDirectory() as folder:
        found, trainer = measure(runs, Path(folder))
    say(f"ends {found['ends']}, at most {found['queue']} waited at a time")
    seconds = found["seconds"]
    bare = sorted(seconds.pop("bare server"))
    measures = []
    for method, times in sorted(seconds.items()):
        times.sort()
        for name, share in _SHARES:
            aim = Aim(at_most=_LIMIT_MS) if share == 1.0 else None
            ours, theirs = (1000 * _quantile(each, share) for each in (times, bare))
            measures.append(Measure.of(f"{method}, {len(times)} calls, {name}", ours, theirs, aim))
        most = 1000 * max(trainer["calls"][method])
        text = f"{method}, most processor time of the trainer in a call"
        measures.append(Measure.of(text, most, aim=Aim(at_most=_LIMIT_MS)))
    hold = 1000 * trainer["hold"]
    text = "longest hold of the trainer's event loop, processor time"
    measures.append(Measure.of(text, hold, aim=Aim(at_most=_LIMIT_MS)))
    measures.append(Measure.of("processor time of the trainer, all in all", 1000 * trainer["used"]))
    publish("queue", measures, _NOTES)


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


if __name__ == "__main__":
    main()
