"""Starts the trainer: `python -m services.trainer`."""

import asyncio

from common.config import ServerSettings
from common.serving.server import serve
from services.trainer.app import trainer_app

if __name__ == "__main__":
    asyncio.run(serve("trainer", ServerSettings(), trainer_app))
