"""What every call passes on its way to a servicer, in this order."""

from common.serving.interceptors.auth import AuthInterceptor, CallerSource, TokenTable
from common.serving.interceptors.base import Chain
from common.serving.interceptors.errors import ErrorsInterceptor
from common.serving.interceptors.logs import LoggingInterceptor
from common.serving.interceptors.tracing import TracingInterceptor

__all__ = ["CallerSource", "TokenTable", "standard_interceptors"]


def standard_interceptors(tokens: TokenTable, issuer: CallerSource | None = None) -> list[Chain]:
    """Returns the interceptors of every server: trace, log, errors, then who may call."""
    return [
        Chain(
            [
                TracingInterceptor(),
                LoggingInterceptor(),
                ErrorsInterceptor(),
                AuthInterceptor(tokens, issuer),
            ]
        )
    ]
