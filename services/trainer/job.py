"""Entry point of a training run's own process: `python -m services.trainer.job RUN | --standby`."""

import sys
from functools import partial

from common.runs.job import run_job
from services.trainer.coordinator.main import coordinate
from services.trainer.coordinator.rendezvous import Rendezvous
from services.trainer.coordinator.settings import CoordinatorSettings
from services.trainer.kind import TRAINING_RUNS
from services.trainer.warming import warm_up_libraries


def main() -> int:
    """Works on one run; returns the exit code of the process."""
    # Started before the run is known, so that its imports cost the run no time.
    rendezvous = Rendezvous(CoordinatorSettings().coordinator_host)
    warm_up_libraries()
    try:
        return run_job(TRAINING_RUNS, partial(coordinate, rendezvous=rendezvous))
    finally:
        rendezvous.close()


if __name__ == "__main__":
    sys.exit(main())
