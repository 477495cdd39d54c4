"""Starts a service: `python -m services catalog`."""

import asyncio
import importlib
import sys
from collections.abc import Sequence

from common.config import ServerSettings
from common.services import SERVICE_PORTS
from common.serving.server import serve


def main(arguments: Sequence[str]) -> None:
    """Runs the service that is named until it is told to end.

    Raises:
        SystemExit: There is no such service.
    """
    name = arguments[0] if len(arguments) == 1 else ""
    if name not in SERVICE_PORTS:
        raise SystemExit(f"usage: python -m services {{{','.join(SERVICE_PORTS)}}}")
    # By name: where one service is installed, the packages of the others are not.
    app = importlib.import_module(f"services.{name}.app").app
    asyncio.run(serve(name, ServerSettings(), app))


if __name__ == "__main__":
    main(sys.argv[1:])
