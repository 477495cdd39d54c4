"""The suite from Go: the story by a client on stubs of the same contracts, and what it is told."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.cli.story.data import TABLE
from common.local.plan import SuiteOptions
from common.testing.suite import RunningSuite, running_suite
from protos.generate import write_image

CLIENT = Path(__file__).parent / "go_client"
# Building takes most of it: some hundred thousand lines of stubs and of gRPC.
_MOST_SECONDS = 600

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * _MOST_SECONDS)]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite whose trainer may be killed, with processes ready as its users have them."""
    home, ready = tmp_path_factory.mktemp("go-suite"), {"AIMASS_ANALYZER_WARM": "true"}
    with running_suite(home, SuiteOptions(agents=1), ready) as running:
        yield running


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the client as its page says, in a copy of its folder. Returns the program."""
    if shutil.which("go") is None:
        pytest.skip("there is no Go on this machine")
    folder = tmp_path_factory.mktemp("go") / "client"
    shutil.copytree(CLIENT, folder, ignore=shutil.ignore_patterns("stubs", "story"))
    fetched = subprocess.run(["go", "mod", "download"], cwd=folder, check=False)
    if fetched.returncode:
        pytest.skip("the modules of the client in Go cannot be fetched")
    image = folder / "image.binpb"
    write_image(image)
    buf = Path(sys.executable).parent / "buf"
    for command in (
        [str(buf), "generate", str(image), "--path", "aimass"],
        ["go", "build", "-o", "story", "."],
    ):
        subprocess.run(command, cwd=folder, check=True, timeout=_MOST_SECONDS)
    return folder / "story"


@pytest.fixture(scope="module")
def table() -> Path:
    """A file as a user might have it: 569 rows of 30 numbers and a diagnosis."""
    return TABLE


def started(
    program: Path, suite: RunningSuite, *arguments: str, token: str = ""
) -> subprocess.Popen[str]:
    """Starts the client with what `aimass env` prints."""
    environment = {**os.environ, **suite.environment}
    if token:
        environment["AIMASS_TOKEN"] = token
    return subprocess.Popen(
        [str(program), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(
    program: Path, suite: RunningSuite, table: Path, *arguments: str, token: str = ""
) -> str:
    """Returns what the client says of a story that goes wrong."""
    with started(program, suite, "-data", str(table), *arguments, token=token) as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    return said


def test_the_story_is_told_over_a_killed_service(
    program: Path, suite: RunningSuite, table: Path
) -> None:
    """From a file to a smaller model and a comparison, each event once, and all in the catalog."""
    lines: list[str] = []
    with started(program, suite, "-data", str(table), "-target", "diagnosis") as process:
        assert process.stdout and process.stderr
        for line in process.stdout:
            lines.append(line.rstrip())
            if is_first_of_training(lines):
                suite.supervised("trainer").kill()
        said = process.stderr.read()
    assert process.wait() == 0, "\n".join([*lines, said])
    assert_told_once(lines)
    found = version_of(suite, "models/go-story/versions/1")
    assert found.format == model_pb2.MODEL_FORMAT_SKOPS
    assert found.task == dataset_pb2.TASK_CLASSIFICATION
    assert list(found.signature.classes) == ["benign", "malignant"]
    trained = version_of(suite, "models/go-story-mlp/versions/1")
    assert trained.network.mlp.hidden_widths == [32, 16]
    assert trained.metrics["validation/accuracy"] > 0.7
    assert any(line.startswith("Odd: row") for line in lines)
    assert lines[-1].startswith("Analysed analyses/")


def test_wrong_fields_are_named(program: Path, suite: RunningSuite, table: Path) -> None:
    """What google.rpc.BadRequest carries reaches a user of Go: the field and the cure."""
    said = refused(program, suite, table, "-name", "No Name")
    assert said.startswith(
        "InvalidArgument\n  field dataset_import.spec.dataset: must have the form"
    )


def test_failed_runs_say_why(program: Path, suite: RunningSuite, table: Path) -> None:
    """The error of a run is the same as that of a call."""
    said = refused(program, suite, table, "-target", "no_such_column")
    assert said.startswith(
        "InvalidArgument\n  field dataset_import.spec.target: there is no column"
    )


def test_wrong_tokens_are_told(program: Path, suite: RunningSuite, table: Path) -> None:
    """Nobody has to guess why nothing works."""
    said = refused(program, suite, table, token="nobodys-token")
    assert said.startswith("Unauthenticated: ")


def is_first_of_training(lines: list[str]) -> bool:
    """Whether the last line is the first that the training has told of itself."""
    return len(lines) > 1 and lines[-2].startswith("Training ")


def assert_told_once(lines: list[str]) -> None:
    """Checks that the events of each run came in order, none of them twice."""
    last = 0
    for line in lines:
        event = re.match(r"  +(\d+) ", line)
        number = int(event[1]) if event else 0
        assert event is None or number > last, line
        last = number


def version_of(suite: RunningSuite, name: str) -> model_pb2.ModelVersion:
    """Returns a model version."""
    return suite.models.GetModelVersion(model_pb2.GetModelVersionRequest(name=name))
