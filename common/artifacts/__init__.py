from common.artifacts.protocol import (
    ObjectChangedError,
    ObjectInfo,
    ObjectMissingError,
    ObjectStore,
    check_key,
)

__all__ = [
    "ObjectChangedError",
    "ObjectInfo",
    "ObjectMissingError",
    "ObjectStore",
    "check_key",
]
