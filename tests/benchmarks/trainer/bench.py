"""What all measures of the trainer's benchmark need: a running suite with data, and the others."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.testing.suite import RunningSuite, running_suite
from tests.benchmarks.baselines.workload import Workload
from tests.benchmarks.trainer import ours
from tests.benchmarks.trainer.digits import Digits
from tests.benchmarks.trainer.theirs import Others


@dataclass(frozen=True)
class Bench:
    """The contenders, ready to start.

    Attributes:
        suite: Ours.
        version: The data in our catalog.
        others: Theirs.
        workload: The same training for them, of one epoch.
    """

    suite: RunningSuite
    version: str
    others: Others
    workload: Workload


@contextmanager
def opened() -> Iterator[Bench]:
    """Starts a suite and brings the data to all contenders; afterwards nothing is left."""
    with tempfile.TemporaryDirectory(prefix="aimass-bench-") as name:
        folder = Path(name)
        environment = {"AIMASS_CACHE_DIR": str(folder / "cache")}
        with running_suite(folder / "suite", environment=environment) as suite:
            yield _prepared(suite, folder)


def _prepared(suite: RunningSuite, folder: Path) -> Bench:
    digits, split = Digits.load(), folder / "split.npz"
    version = suite.import_dataset("bench-digits", "digits.npz", digits.as_upload())
    digits.write_split(split)
    spec = ours.specification(version, epochs=1)
    workload = Workload(
        data=str(split),
        network=ours.resolved_network(suite, spec),
        learning_rate=ours.LEARNING_RATE,
        batch_size=ours.BATCH_SIZE,
        epochs=1,
        seed=0,
    )
    bench = Bench(suite, version, Others(folder), workload)
    # The first run decodes the data into the host's cache: agents are warm from then on.
    with ours.followed(suite, spec) as run:
        run.first_step()
    return bench
