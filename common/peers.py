"""Which service a call that failed was made to."""

from typing import cast

import grpc


class PeerError(grpc.aio.AioRpcError):
    """A failed call of a service, as the error of gRPC that it is, with the service's name.

    Attributes:
        peer: The service, as a sentence names it: `the catalog`.
    """

    def __init__(self, error: grpc.aio.AioRpcError, method: str | bytes) -> None:
        """Wraps an error.

        Args:
            error: What gRPC raised.
            method: Full name of the method that was called.
        """
        super().__init__(
            error.code(),
            error.initial_metadata(),
            cast(grpc.aio.Metadata, error.trailing_metadata()),
            error.details(),
            error.debug_error_string(),
        )
        self.peer = peer_of(method)


def peer_of(method: str | bytes) -> str:
    """Returns the service that a method belongs to, as a sentence names it.

    Args:
        method: For example `/aimass.catalog.v1.DatasetService/GetDataset`.
    """
    text = method.decode() if isinstance(method, bytes) else method
    name = text.removeprefix("/aimass.").partition(".")[0]
    # What it does names the others.
    return "the outlier service" if name == "outlier" else f"the {name}"
