"""Starts the catalog: `python -m services.catalog`."""

import asyncio

from common.config import ServerSettings
from common.serving.server import serve
from services.catalog.app import catalog_app

if __name__ == "__main__":
    asyncio.run(serve("catalog", ServerSettings(), catalog_app))
