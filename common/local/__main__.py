"""`python -m common.local`: the supervisor of a suite; `aimass up` starts it."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from common.local.home import HomeLockedError, Phase, SuiteHome
from common.local.plan import SuiteOptions
from common.local.supervisor import supervise

EXIT_FAILED = 1
EXIT_LOCKED = 3


def main() -> int:
    """Runs the supervisor.

    Returns:
        0 after a stop on request, 1 when the suite could not start, 3 when the folder is taken.
    """
    parser = argparse.ArgumentParser(prog="python -m common.local", description=__doc__)
    parser.add_argument("--home", type=Path, default=SuiteHome.default().path)
    parser.add_argument("--agents", type=int, default=SuiteOptions.agents)
    parser.add_argument("--slots", type=int, default=SuiteOptions.slots)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    options = SuiteOptions(arguments.agents, arguments.slots)
    try:
        phase = asyncio.run(supervise(SuiteHome(arguments.home), options))
    except HomeLockedError as error:
        logging.error("%s", error)
        return EXIT_LOCKED
    return EXIT_FAILED if phase is Phase.FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
