"""Addresses from which objects can be downloaded without a key."""

from datetime import timedelta
from urllib.parse import urlsplit

import minio

from common.artifacts.protocol import check_key
from common.artifacts.settings import StoreSettings


def presigned_url(settings: StoreSettings, key: str, lifetime: timedelta) -> str:
    """Returns an address of an object. Sends nothing: whether the object exists is not looked at.

    Args:
        settings: The store; `public_url` is where clients see it.
        key: Object key.
        lifetime: How long the address works, at most 7 days.
    """
    scheme = "https" if settings.secure else "http"
    seen = urlsplit(settings.public_url or f"{scheme}://{settings.endpoint}")
    client = minio.Minio(
        seen.netloc,
        access_key=settings.access_key or None,
        secret_key=settings.secret_key or None,
        secure=seen.scheme == "https",
        region=settings.region,  # Else the SDK asks the store for it.
    )
    return client.presigned_get_object(settings.bucket, check_key(key), expires=lifetime)
