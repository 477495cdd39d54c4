"""Turns errors into statuses with details."""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import cast

import grpc
from google.rpc import error_details_pb2, status_pb2

from common import errors
from common.peers import PeerError
from common.serving.interceptors.base import Call, CallInterceptor, Context

DETAILS_KEY = "grpc-status-details-bin"
# An error travels in the tail of an answer, of which clients take 8 KiB.
_MOST_MESSAGE_BYTES = 1000
_MOST_FIELD_BYTES = 300
_MOST_FIELDS_BYTES = 2000
_log = logging.getLogger(__name__)
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class ErrorsInterceptor(CallInterceptor):
    """The one place where an exception becomes a status."""

    @asynccontextmanager
    async def around(self, call: Call, context: Context) -> AsyncIterator[None]:
        """Aborts the call with the status of what it raises."""
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except errors.AimassError as error:
            if error.private:
                _log.warning("%s: %s", call.method, error.private)
            await _abort(context, errors.to_status(error))
        except grpc.aio.AioRpcError as error:
            await _abort(context, _of_other_service(call, error))
        except Exception as error:
            _log.exception("%s failed", call.method)
            await _abort(context, errors.to_status(error))


async def _abort(context: Context, status: status_pb2.Status) -> None:
    _shorten(status)
    trailing = (*context.trailing_metadata(), (DETAILS_KEY, status.SerializeToString()))
    await context.abort(_CODES[status.code], status.message, trailing)


def _of_other_service(call: Call, error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Passes the answer of a service that this one called on; a missing one is UNAVAILABLE."""
    _log.warning("%s: a call it made failed: %s %s", call.method, error.code(), error.details())
    if error.code() in _PASSING:
        peer = error.peer if isinstance(error, PeerError) else "a service"
        unavailable = errors.UnavailableError(
            f"This call needs {peer}, which cannot be reached now; try again.",
        )
        return errors.to_status(unavailable)
    details = dict(cast(Iterable[tuple[str, str | bytes]], error.trailing_metadata() or ()))
    packed = details.get(DETAILS_KEY)
    if isinstance(packed, bytes):
        return status_pb2.Status.FromString(packed)
    return status_pb2.Status(code=error.code().value[0], message=error.details() or "")


def _shorten(status: status_pb2.Status) -> None:
    """Cuts what is too much for the tail; a last field says how many are left out."""
    status.message = _cut(status.message, _MOST_MESSAGE_BYTES)
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(bad):
            detail.Pack(_first(bad))


def _first(bad: error_details_pb2.BadRequest) -> error_details_pb2.BadRequest:
    short, told = error_details_pb2.BadRequest(), 0
    for violation in bad.field_violations:
        field = _cut(violation.field, _MOST_FIELD_BYTES)
        description = _cut(violation.description, _MOST_MESSAGE_BYTES)
        told += len(field.encode()) + len(description.encode())
        if short.field_violations and told > _MOST_FIELDS_BYTES:
            left = len(bad.field_violations) - len(short.field_violations)
            text = f"{left:,} more fields are wrong; mend the others first."
            short.field_violations.add(field="request", description=text)
            break
        short.field_violations.add(field=field, description=description)
    return short


def _cut(text: str, most_bytes: int) -> str:
    """Shortens a text that takes more bytes."""
    data = text.encode()
    if len(data) <= most_bytes:
        return text
    return f"{data[: most_bytes - 3].decode(errors='ignore')}..."
