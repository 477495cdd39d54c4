"""What a worker says: log lines as reports, and signs of life while it cannot say anything."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from aimass.trainer.v1 import agents_pb2
from aimass.type.v1 import event_pb2

BEAT_SECONDS = 0.25
MAX_TEXT = 4_096

Report = Callable[[agents_pb2.WorkerReport], None]


class ReportHandler(logging.Handler):
    """Sends log records as log lines of the run."""

    def __init__(self, report: Report, rank: int) -> None:
        """Takes the way out.

        Args:
            report: Sends a report.
            rank: The worker's rank.
        """
        super().__init__()
        self._report = report
        self._source = f"worker-{rank}"

    def emit(self, record: logging.LogRecord) -> None:
        """Sends one record."""
        text = self.format(record)[:MAX_TEXT]
        line = event_pb2.LogLine(severity=_severity(record.levelno), source=self._source, text=text)
        try:
            self._report(agents_pb2.WorkerReport(log_line=line))
        except OSError:  # the agent is gone, and with it this process in a moment
            self.handleError(record)


def _severity(level: int) -> event_pb2.Severity.ValueType:
    if level >= logging.ERROR:
        return event_pb2.SEVERITY_ERROR
    if level >= logging.WARNING:
        return event_pb2.SEVERITY_WARNING
    return event_pb2.SEVERITY_INFO if level >= logging.INFO else event_pb2.SEVERITY_DEBUG


@contextlib.contextmanager
def beating(beat: Callable[[], None]) -> Iterator[None]:
    """Gives signs of life from a thread while the block runs.

    For what takes long in one piece: decoding data, joining the world, exporting. A process that
    is frozen is silent all the same.
    """
    ending = threading.Event()

    def run() -> None:
        while not ending.wait(BEAT_SECONDS):
            beat()

    beat()
    thread = threading.Thread(target=run, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
