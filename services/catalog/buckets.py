"""Which buckets imports may read."""

from common.artifacts import ObjectStore
from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from services.catalog.config import ImportSettings
from services.catalog.domain.objects import ImportObjects


def import_objects(store: ObjectStore, settings: ImportSettings) -> ImportObjects:
    """Returns what finds the objects of imports.

    Args:
        store: The suite's own.
        settings: Name the other buckets.
    """
    buckets = [name.strip() for name in settings.import_buckets.split(",") if name.strip()]
    return ImportObjects(store, buckets, lambda name: open_store(StoreSettings(bucket=name)))
