"""The `aimass` program. Light: whatever takes a moment to import comes after the handler."""

import os
import signal
import sys
from types import FrameType

from common.cli.exits import EXIT_INTERRUPTED


def main() -> None:
    """Entry point; Ctrl-C ends the command in one line from its first moment on."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    # What gRPC notes of its connections is in the error that the command shows.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # It takes a second on a busy machine, and Ctrl-C in the middle would be a long traceback.
    from common.cli.program import run  # noqa: PLC0415

    signal.signal(signal.SIGINT, usual)
    sys.exit(run(sys.argv[1:]))


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(sys.stderr.fileno(), b"Interrupted.\n")
    os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
