"""How long the story takes: `make bench NAME=story`, on a machine that does nothing else."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.harness import ROOT, Aim, Measure, publish

_MOST_SECONDS = 300.0
_NOTES = ("`make demo` once set up, from its start to its end; steps as it tells them itself.",)
_STEP = re.compile(r"^ (\S.*?) {2,}\S+/\S+ +(?:(\d+) min )?([\d.]+) s$", re.MULTILINE)


def main() -> None:
    """Tells the story once and publishes what each step took."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        shown = _told(Path(folder))
        took = time.monotonic() - began
    aim = Aim(at_most=_MOST_SECONDS)
    measures = [Measure.of("the whole story, s", took, None, aim)]
    for title, minutes, seconds in _STEP.findall(shown):
        measures.append(Measure.of(f"{title}, s", 60 * int(minutes or 0) + float(seconds), None))
    publish("story", measures, _NOTES)


def _told(folder: Path) -> str:
    """Runs the demonstration. Returns what it prints."""
    options = ["--home", str(folder / "suite"), "--reports", str(folder / "reports")]
    command = [sys.executable, "-m", "common.cli", "demo", *options]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
