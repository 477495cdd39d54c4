"""The errors that a campaign met, each once, for somebody to read: would you know what to do?"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

# What differs between two errors that say the same: what is quoted, paths' indices, numbers, hex.
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\[[^\]]*\]|(?<![A-Za-z_])[-+]?\d[\d.,e+-]*")
# Words for programmers, and an error of input that does not say where.
_UNCLEAR = re.compile(
    r"(Input|String|List) should|validation error|Traceback|object at 0x|<class|NoneType|/site-"
)
_NO_FIELD = "(no field) "


@dataclass
class ErrorBook:
    """Distinct errors.

    Attributes:
        counts: How often each was met, by status, method and the message without its values.
        examples: The first of each as it was said.
    """

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def add(self, method: str, error: grpc.aio.AioRpcError) -> None:
        """Takes up an error, and each field that it complains of."""
        for message in _messages(error):
            key = (error.code().name, method.rpartition(".")[2], _VALUES.sub("…", message))
            self.counts[key] += 1
            self.examples.setdefault(key, message)

    def unclear(self) -> list[str]:
        """Returns those that no user would know what to do with."""
        return [
            f"{code} {method}: {message}"
            for (code, method, _), message in self.examples.items()
            if _UNCLEAR.search(message)
            or (code == "INVALID_ARGUMENT" and message.startswith(_NO_FIELD))
        ]

    def lines(self) -> list[str]:
        """Returns a line for each, sorted by status and method: count, status, method, words."""
        return [
            f"{self.counts[key]}\t{key[0]}\t{key[1]}\t{self.examples[key]!r}"
            for key in sorted(self.counts)
        ]


def _messages(error: grpc.aio.AioRpcError) -> list[str]:
    """Returns the violated fields' messages; where there are none, the status's own, so marked."""
    status = rpc_status.from_call(cast(grpc.Call, error))
    bad = error_details_pb2.BadRequest()
    for detail in status.details if status else ():
        detail.Unpack(bad)
    fields = [f"{each.field}: {each.description}" for each in bad.field_violations]
    return fields or [f"{_NO_FIELD}{error.details() or ''}"]
