"""The picture of a trace: what is part of what, in whose colour, and nothing twice."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from common.testing.spans import Span, read_spans
from deploy.tracing.picture import COLOURS, draw, label_of, rows_of, service_of

PACKAGE = "aimass.trainer.v1.TrainingService"


def span(id_: str, parent: str, service: str, name: str, begin: float, end: float) -> Span:
    """Returns a span of the one trace."""
    return Span("t", id_, parent, f"aimass-{service}", name, begin, end)


SPANS = [
    span("c", "b", "trainer", f"{PACKAGE}/GetTrainingRun", 4.0, 4.1),
    span("a", "gone", "tuner", "aimass.tuner.v1.TunerService/CreateTuningRun", 0.0, 0.1),
    span("b", "a", "tune-job", "tuningRuns", 1.0, 9.0),
    span("d", "b", "trainer", f"{PACKAGE}/GetTrainingRun", 5.0, 5.1),
    span("e", "b", "trainer", f"{PACKAGE}/CreateTrainingRun", 2.0, 2.1),
    span("f", "e", "train-job", "trainingRuns", 2.5, 5.0),
    span("g", "gone", "tuner", "aimass.tuner.v1.TunerService/WatchTuningRun", 0.2, 9.0),
    span("h", "gone", "tuner", "aimass.tuner.v1.TunerService/GetTuningRun", 9.0, 9.1),
    span("i", "b", "trainer", f"{PACKAGE}/ListAgents", 1.5, 1.6),
    span("j", "f", "worker", "worker.train", 3.0, 4.0),
]
FOLLOWING = ("WatchTuningRun", "GetTuningRun")


def test_a_row_stands_below_what_it_is_part_of() -> None:
    """Reads share a row, and what is done again; what only follows a run has none."""
    rows = [(row.depth, row.service, row.label, len(row.spans)) for row in rows_of(SPANS)]
    assert rows == [
        (0, "tuner", "CreateTuningRun", 1),
        (1, "tuner", "tune-job: tuningRuns", 1),
        (2, "trainer", "reads", 3),
        (2, "trainer", "CreateTrainingRun", 1),
        (3, "trainer", "train-job: trainingRuns", 1),
        (4, "trainer", "worker: train", 1),
    ]


def test_the_picture_is_an_image_that_shows_every_span() -> None:
    """It is XML, within its frame, with a bar a span and a legend of who takes part."""
    picture = draw(SPANS, "One <trace>")
    root = ElementTree.fromstring(picture)
    width = float(root.attrib["width"])
    for each in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(each.get("x", 0)) + float(each.attrib["width"]) <= width
    titles = re.findall(r"<title>(.+?): \d+ ms</title>", picture)
    shown = [each.name for each in SPANS if not each.name.endswith(FOLLOWING)]
    assert sorted(titles) == sorted(shown)
    assert ">tuner</text>" in picture and ">pruner</text>" not in picture


@pytest.mark.parametrize(
    ("process", "service"),
    [("agent", "trainer"), ("import-job", "catalog"), ("analysis-job", "analyzer")],
)
def test_every_process_has_its_service(process: str, service: str) -> None:
    """Else half of the picture would be grey."""
    found = service_of(span("a", "", process, "work", 0, 1))
    assert found == service and found in COLOURS
    assert label_of(span("a", "", process, "work", 0, 1)) == f"{process}: work"


def test_spans_are_read_as_they_were_written(tmp_path: Path) -> None:
    """A picture can be drawn again without a suite."""
    path = tmp_path / "spans.jsonl"
    path.write_text("".join(f"{each.line()}\n" for each in SPANS))
    assert read_spans(path) == SPANS
    with pytest.raises(ValueError, match="without spans"):
        draw([], "nothing")
