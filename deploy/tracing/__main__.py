"""Draws a trace through all services: `python -m deploy.tracing PICTURE [SPANS]`.

With a file of spans it draws those; else it starts a suite, has it live the story, and draws what
the services have exported.
"""

import sys
import tempfile
from pathlib import Path

from common.local.plan import SuiteOptions
from common.telemetry import tracecontext
from common.testing.spans import read_spans, running_collector
from common.testing.story import Story
from common.testing.suite import running_suite
from deploy.tracing.picture import COLOURS, draw

_SPANS = Path("build/spans.jsonl")
_TITLE = "From a table to a smaller, explained model"
_JOBS = ("import", "scan", "tune", "train", "prune", "analysis")
_PROCESSES = {f"aimass-{name}" for name in (*COLOURS, *(f"{job}-job" for job in _JOBS))}
# As at its users': the first run of a service does not wait for its imports.
_WARM = {f"AIMASS_{name}_WARM": "true" for name in ("OUTLIER", "ANALYZER", "TUNER", "PRUNER")}


def record(path: Path) -> None:
    """Has a suite live the story under one trace, and writes the spans to a file."""
    traceparent = tracecontext.new_traceparent()
    trace = tracecontext.trace_id(traceparent)
    with (
        tempfile.TemporaryDirectory(prefix="aimass-trace-") as folder,
        running_collector() as (collector, environment),
        running_suite(Path(folder), SuiteOptions(agents=1), {**environment, **_WARM}) as suite,
    ):
        tracecontext.set_traceparent(traceparent)
        try:
            _live(Story(suite))
        finally:
            tracecontext.set_traceparent("")
            collector.wait_for(trace, _PROCESSES)
            collector.write(path, trace)  # also of a story that ends too soon


def _live(story: Story) -> None:
    for step in story.steps():
        story.begin(step)
        story.finish(step)
        print(f"{step}: {story.runs[step]}", flush=True)


def main(arguments: list[str]) -> int:
    """Draws a picture; see the module."""
    picture, *given = (Path(each) for each in arguments)
    spans = given[0] if given else _SPANS
    if not given:
        record(spans)
    picture.write_text(draw(read_spans(spans), _TITLE))
    print(f"{picture}: {len(read_spans(spans))} spans")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
