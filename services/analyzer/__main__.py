"""Starts the analyzer: `python -m services.analyzer`."""

import asyncio

from common.config import ServerSettings
from common.serving.server import serve
from services.analyzer.app import analyzer_app

if __name__ == "__main__":
    asyncio.run(serve("analyzer", ServerSettings(), analyzer_app))
