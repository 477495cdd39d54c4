"""One log line a call that says who asked for what, and its duration as a metric."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from common.identity import NOBODY, Caller, caller
from common.serving.interceptors.base import Call, CallInterceptor, Context
from common.telemetry import metrics

_log = logging.getLogger(__name__)
_QUIET = ("/grpc.health.", "/grpc.reflection.", "/grpc.channelz.")


class LoggingInterceptor(CallInterceptor):
    """Logs method, status, duration and caller."""

    @asynccontextmanager
    async def around(self, call: Call, context: Context) -> AsyncIterator[None]:
        """Times the call."""
        started = time.perf_counter()
        status = "OK"
        try:
            yield
        except asyncio.CancelledError:
            status = grpc.StatusCode.CANCELLED.name
            raise
        except GeneratorExit:
            status = grpc.StatusCode.CANCELLED.name
            raise
        except BaseException:
            code = context.code()
            status = code.name if isinstance(code, grpc.StatusCode) else "INTERNAL"
            raise
        finally:
            self._record(call, status, (time.perf_counter() - started) * 1000)

    def _record(self, call: Call, status: str, milliseconds: float) -> None:
        metrics.rpc_duration.record(milliseconds / 1000, {"method": call.method, "code": status})
        level = logging.DEBUG if call.method.startswith(_QUIET) else logging.INFO
        told = {"method": call.method, "status": status, "ms": round(milliseconds, 2)}
        fields = {**told, **_who(caller())}
        _log.log(level, "%s %s", call.method, status, extra={"fields": fields})


def _who(found: Caller) -> dict[str, str]:
    """Returns whose token came with a call and, where that is a service's, who asked."""
    if found is NOBODY:
        return {}
    if found.service:
        return {"subject": found.service, "on_behalf_of": found.subject}
    return {"subject": found.subject}
