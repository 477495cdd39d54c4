"""`python -m services.catalog`: serves the catalog."""

import asyncio

from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.serving.server import serve
from services.catalog.app import catalog
from services.catalog.config import CatalogSettings


async def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    settings = CatalogSettings()
    store = open_store(StoreSettings())
    await serve("catalog", settings, lambda: catalog(settings, store))


if __name__ == "__main__":
    asyncio.run(main())
