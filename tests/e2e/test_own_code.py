"""Code of users' own in workers: networks, trainings, ordinary Horovod scripts, and its limits."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_digits

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import run_pb2
from common.local.plan import SuiteOptions
from common.models.onnx_model import load_onnx
from common.testing.suite import RunningSuite, running_suite

# A run may train for some seconds on two workers of a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SOURCES = Path(__file__).parent / "own_code"
PERMITTED = {"AIMASS_TRAINER_OWN_CODE": "true"}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite whose operator permits code of users' own."""
    home = tmp_path_factory.mktemp("own-code-suite")
    with running_suite(home, SuiteOptions(agents=2), PERMITTED) as running:
        yield running


@pytest.fixture(scope="module")
def digits(suite: RunningSuite) -> str:
    """1,797 digits as 64 numbers each; a fifth to validate."""
    features, target = load_digits(return_X_y=True)
    table = np.column_stack([features, target])
    header = ",".join([*(f"p{number}" for number in range(64)), "digit"])
    lines = [header, *(_line(row[:-1], row[-1]) for row in table)]
    spec = dataset_pb2.DatasetImportSpec(
        target="digit", split=dataset_pb2.SplitSpec(validation_fraction=0.2)
    )
    return suite.import_dataset("own-digits", "digits.csv", "\n".join(lines).encode(), spec)


def _line(pixels: npt.NDArray[np.float64], digit: float) -> str:
    return ",".join([*(f"{value:g}" for value in pixels), f"d{digit:.0f}"])


def code_of(*names: str, **more: Any) -> trainer_pb2.OwnCode:
    """Returns code with some of the files beside this one."""
    files = {name: (SOURCES / name).read_text() for name in names}
    return trainer_pb2.OwnCode(files=files, **more)


def spec_of(data: str, code: trainer_pb2.OwnCode, **more: Any) -> trainer_pb2.TrainingSpec:
    """Returns a run of some seconds on two workers."""
    workers = trainer_pb2.WorkerRange(min=1, wanted=2)
    fields: dict[str, Any] = {"epochs": 8, "batch_size": 64, **more}
    return trainer_pb2.TrainingSpec(
        dataset_version=data, model="models/own", code=code, workers=workers, **fields
    )


def succeeded(run: trainer_pb2.TrainingRun) -> trainer_pb2.TrainingRun:
    """Returns a run that has succeeded; says its error otherwise."""
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    return run


def version_of(suite: RunningSuite, run: trainer_pb2.TrainingRun) -> model_pb2.ModelVersion:
    """Returns the model of a run."""
    request = model_pb2.GetModelVersionRequest(name=run.model_version)
    return suite.models.GetModelVersion(request)


def lines_of(suite: RunningSuite, run: str) -> list[str]:
    """Returns what a run's workers have printed."""
    events = suite.watch_run(run)
    return [event.log_line.text for event in events if event.HasField("log_line")]


def test_a_network_of_ones_own_is_trained_as_any_other(suite: RunningSuite, digits: str) -> None:
    """Validated, its best epoch kept; the model is an ONNX one, which the analyzer opens."""
    code = code_of("gated.py", network="gated:network", arguments={"width": "48"})
    run = succeeded(suite.train(spec_of(digits, code)))
    assert run.metrics["validation/accuracy"] > 0.9
    assert not run.spec.code.files and run.spec.code.archive.sha256
    version = version_of(suite, run)
    assert version.format == model_pb2.MODEL_FORMAT_ONNX
    model = load_onnx(suite.store, version)
    assert list(version.signature.classes) == [f"d{digit}" for digit in range(10)]
    found = model.predict({"numeric": load_digits().data[:5]})["probabilities"]
    assert found.argmax(1).tolist() == [0, 1, 2, 3, 4]
    analysis = suite.analyse(
        analyzer_pb2.AnalysisSpec(model_version=run.model_version, dataset_version=digits)
    )
    assert analysis.status.state == run_pb2.RUN_STATE_SUCCEEDED, analysis.status.error
    again = succeeded(suite.train(spec_of(digits, run.spec.code)))
    assert again.metrics["validation/loss"] == run.metrics["validation/loss"]


def test_a_training_of_ones_own_goes_on_after_a_kill(suite: RunningSuite, digits: str) -> None:
    """Commits keep model and optimizer; the steps done are those of an undisturbed training."""
    code = code_of("looping.py", training="looping:train", arguments={"rate": "0.05"})
    # Steps of a millisecond: it has to be at work still when its first epochs are heard of.
    spec = spec_of(digits, code, epochs=150, commit_steps=5)
    suite.await_agents()
    name = suite.create_run(spec)
    for event in suite.watch_run(name):
        if event.metrics.epoch >= 2:
            break
    suite.workers("agent-1")[0].send_signal(signal.SIGKILL)
    run = succeeded(suite.finish_run(name))
    assert run.metrics["accuracy"] > 0.9
    changes = [each for each in suite.watch_run(name) if each.HasField("membership_change")]
    assert len(changes) > 1
    load_onnx(suite.store, version_of(suite, run))


def test_the_example_of_the_manual_trains(suite: RunningSuite, digits: str) -> None:
    """What users copy first."""
    manual = Path(__file__).parents[2] / "services/trainer/TRAINING.md"
    [example] = [each for each in PYTHON.findall(manual.read_text()) if "context.steps" in each]
    code = trainer_pb2.OwnCode(files={"my_loop.py": example}, training="my_loop:train")
    code.arguments["rate"] = "0.1"
    run = succeeded(suite.train(spec_of(digits, code)))
    assert run.metrics["loss"] < 0.5


def test_an_ordinary_horovod_script_runs_unchanged(suite: RunningSuite, digits: str) -> None:
    """It finds its data, its arguments and its world; what it writes becomes the model."""
    code = code_of(
        "plain_horovod.py", horovod_script="plain_horovod.py", arguments={"target": "digit"}
    )
    run = succeeded(suite.train(spec_of(digits, code)))
    said = lines_of(suite, run.name)
    for rank in (0, 1):
        assert any(f"epoch 2 of worker {rank}: 0.9" in line for line in said)
    load_onnx(suite.store, version_of(suite, run))


def test_code_reaches_nothing_but_its_run(suite: RunningSuite, digits: str) -> None:
    """Other runs' records can be neither read nor written, and no process beside it has keys."""
    other = succeeded(suite.train(spec_of(digits, code_of("gated.py", network="gated:network"))))
    job = f"runs/{other.name}/attempts/1/job.json"
    assert suite.store.stat(job).size > 0, "it is there to be stolen"
    keys = f"{job},{other.name}.json,runs/{digits}/x"
    code = code_of("looping.py", training="looping:steal", arguments={"keys": keys})
    run = suite.train(spec_of(digits, code))
    assert run.status.state == run_pb2.RUN_STATE_FAILED
    assert "no model" in run.status.error.message
    said = lines_of(suite, run.name)
    assert sum(line.startswith("refused") for line in said) >= 6
    assert not any(line.startswith("stolen") for line in said)
    assert any(line == "parent has keys: False" for line in said)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"training": "looping:fail"}, "KeyError: 'worker . has no such thing' .looping.py:"),
        ({"training": "looping:forget"}, "handed over no model"),
        ({"training": "looping:absent"}, "has no function `absent`"),
        ({"network": "gated:wrong"}, r"gave \(2, 11\) for 2 rows; return a tensor of \(2, 10\)"),
    ],
)
def test_code_that_fails_says_where(
    suite: RunningSuite, digits: str, entry: dict[str, str], named: str
) -> None:
    """The run ends at once, not after five worlds."""
    run = suite.train(spec_of(digits, code_of("looping.py", "gated.py", **entry)))
    assert run.status.state == run_pb2.RUN_STATE_FAILED
    assert "OWN_CODE_FAILED" in str(run.status.error)
    assert re.search(named, run.status.error.message), run.status.error.message


def test_what_is_wrong_is_named_before_the_run(suite: RunningSuite, digits: str) -> None:
    """Fields of code."""
    for code, field in [
        (trainer_pb2.OwnCode(network="a:b"), "training_run.spec.code"),
        (trainer_pb2.OwnCode(files={"../x.py": ""}, network="x:b"), "training_run.spec.code.files"),
        (trainer_pb2.OwnCode(files={"x.py": ""}, network="y:b"), "training_run.spec.code.network"),
        (
            trainer_pb2.OwnCode(files={"x.py": ""}, horovod_script="y.py"),
            "training_run.spec.code.horovod_script",
        ),
    ]:
        with pytest.raises(grpc.RpcError) as caught:
            suite.create_run(spec_of(digits, code))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert field in str(caught.value.details())
