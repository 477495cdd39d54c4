"""Starts the tuner: `python -m services.tuner`."""

import asyncio

from common.config import ServerSettings
from common.serving.server import serve
from services.tuner.app import tuner_app

if __name__ == "__main__":
    asyncio.run(serve("tuner", ServerSettings(), tuner_app))
