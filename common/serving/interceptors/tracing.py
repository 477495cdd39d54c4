"""Gives every call a trace and a request id."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common import telemetry
from common.serving.interceptors.base import Call, CallInterceptor, Context
from common.telemetry import tracecontext


class TracingInterceptor(CallInterceptor):
    """Continues the caller's trace, or begins one, and returns its id as `x-request-id`."""

    @asynccontextmanager
    async def around(self, call: Call, context: Context) -> AsyncIterator[None]:
        """Runs the call inside a span."""
        received = call.metadata.get(tracecontext.HEADER, "")
        if not tracecontext.is_traceparent(received):
            received = tracecontext.new_traceparent()
        with telemetry.span(call.method.removeprefix("/"), received):
            context.set_trailing_metadata((("x-request-id", tracecontext.trace_id(received)),))
            yield
