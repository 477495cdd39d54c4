"""Spans that are sent to a collector; loaded only where one is named."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common.telemetry import tracecontext

_propagator = TraceContextTextMapPropagator()


def configure(service: str) -> None:
    """Sends this process's spans to the OTLP endpoint that the environment names.

    Args:
        service: Name of the process, for example `trainer`.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": f"aimass-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def flush() -> None:
    """Sends the spans that wait."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.force_flush()


@contextmanager
def recorded(
    name: str, parent: str, attributes: Mapping[str, str | int | float | bool] | None
) -> Iterator[str]:
    """Records a span around a block.

    Args:
        name: Name of the span.
        parent: Trace context of its parent; empty for none.
        attributes: Its attributes.

    Yields:
        Its own trace context.
    """
    tracer = trace.get_tracer("aimass")
    context = _propagator.extract({tracecontext.HEADER: parent})
    span = tracer.start_span(name, context=context, attributes=attributes)
    try:
        yield _traceparent_of(span)
    except Exception as error:
        span.record_exception(error)
        span.set_status(trace.StatusCode.ERROR)
        raise
    finally:
        span.end()


def _traceparent_of(span: trace.Span) -> str:
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=trace.set_span_in_context(span))
    return carrier.get(tracecontext.HEADER, "") or tracecontext.new_traceparent()
