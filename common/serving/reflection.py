"""Reflection that also finds methods, so that `grpcurl describe` works on them."""

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor


class MethodFindingPool:
    """The default descriptor pool, which does not know methods by name, with that added."""

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def __getattr__(self, name: str) -> object:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802
        """Returns the file that defines a message, enum, service or method. Raises `KeyError`."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file
