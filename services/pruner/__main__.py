"""Starts the pruner: `python -m services.pruner`."""

import asyncio

from common.config import ServerSettings
from common.serving.server import serve
from services.pruner.app import pruner_app

if __name__ == "__main__":
    asyncio.run(serve("pruner", ServerSettings(), pruner_app))
