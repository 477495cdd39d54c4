"""The W3C trace context that calls carry, without any tracing library.

See https://www.w3.org/TR/trace-context/, section 3.2 (2021).
"""

import re
import secrets
from contextvars import ContextVar

HEADER = "traceparent"
_PATTERN = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str] = ContextVar("traceparent", default="")
_process = ""


def new_traceparent() -> str:
    """Returns the context of a new, sampled trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def child_of(parent: str) -> str:
    """Returns the context of a new span in its parent's trace, or in a new one without a parent."""
    if not is_traceparent(parent):
        return new_traceparent()
    return f"{parent[:36]}{secrets.token_hex(8)}{parent[52:]}"


def current_traceparent() -> str:
    """Returns the context of the work at hand; empty when there is none."""
    return _current.get() or _process


def set_process(traceparent: str) -> None:
    """Makes this the context of all threads of this process that have none of their own."""
    global _process  # noqa: PLW0603  (context variables do not reach into new threads)
    _process = traceparent


def set_traceparent(traceparent: str) -> None:
    """Makes this the context of the current task or thread."""
    _current.set(traceparent)


def is_traceparent(text: str) -> bool:
    """Whether the text is a well-formed trace context."""
    return _PATTERN.fullmatch(text) is not None


def trace_id(traceparent: str) -> str:
    """Returns the 32 hexadecimal digits of the trace; empty where there is none."""
    return traceparent[3:35] if is_traceparent(traceparent) else ""
