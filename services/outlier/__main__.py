"""Starts the outlier service: `python -m services.outlier`."""

import asyncio

from common.config import ServerSettings
from common.serving.server import serve
from services.outlier.app import outlier_app

if __name__ == "__main__":
    asyncio.run(serve("outlier", ServerSettings(), outlier_app))
