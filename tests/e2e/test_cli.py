"""The command against a running suite, through YAML and by hand."""

import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from aimass.catalog.v1 import dataset_pb2, transfer_pb2
from common.cli.connection import VARIABLES
from common.cli.program import run
from common.testing.suite import RunningSuite
from tests.support.foreign_models import skops_file

BOTH = """
kind: DatasetImport
dataset_import:
  spec:
    dataset: datasets/cli-table
    upload: file:table.npz
    target: y
---
kind: TrainingRun
training_run_id: {run}
training_run:
  labels: {{team: cli}}
  spec:
    dataset_version: datasets/cli-table/versions/latest
    model: models/cli-linear
    network: {{linear: {{}}}}
    epochs: 2
"""
SCAN = """
kind: DatasetImport
as: data
dataset_import: {spec: {dataset: datasets/cli-odd, upload: file:odd.csv}}
---
kind: OutlierScan
outlier_scan_id: cli-scan
outlier_scan:
  spec:
    dataset_version: ${data.dataset_version}
    detectors: [{hbos: {}}, {knn: {neighbours: 5}}]
    contamination: 0.01
"""


@pytest.fixture(autouse=True)
def at_suite(suite: RunningSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIMASS_HOME", str(suite.suite.home.path))


def write_table(folder: Path) -> None:
    generator = np.random.default_rng(1)
    features = generator.uniform(size=(200, 3))
    np.savez(folder / "table.npz", x=features, y=features @ np.array([1.0, 2.0, 3.0]))


def test_a_file_imports_data_and_trains_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both documents of a file are carried out in order and followed; the model can be fetched."""
    write_table(tmp_path)
    file = tmp_path / "run.yaml"
    file.write_text(BOTH.format(run="cli-first"))
    assert run(["apply", "-f", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "datasets/cli-table/versions/1" in shown
    assert "epoch 2/2" in shown
    assert "models/cli-linear/versions/1" in shown
    for arguments in (
        ["datasets", "list"],
        ["datasets", "show", "cli-table"],
        ["models", "list"],
        ["models", "show", "cli-linear"],
        ["runs", "list", "--filter", "labels.team=cli"],
        ["runs", "show", "cli-first"],
        ["runs", "watch", "cli-first"],
    ):
        assert run(arguments) == 0, arguments
        shown = capsys.readouterr().out
        assert "cli" in shown, arguments
        # What a run took stands beside what had been foretold.
        assert ("took: " in shown) == (arguments[:2] in (["runs", "show"], ["runs", "watch"]))
    target = tmp_path / "model"
    assert run(["models", "download", "cli-linear", "--to", str(target)]) == 0
    assert (target / "weights.safetensors").stat().st_size > 0
    assert (target / "model.onnx").exists()


def test_a_mistake_in_the_specification_names_field_and_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the server refuses is shown like what the command itself refuses."""
    file = tmp_path / "run.yaml"
    file.write_text(
        "kind: TrainingRun\ntraining_run:\n  spec: {dataset_version: datasets/none/versions/1, "
        "model: models/none, epochs: 0}\n"
    )
    assert run(["apply", "-f", str(file)]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert "Error:" in shown


def test_a_failing_import_ends_with_exit_code_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script notices that the data was no good, and sees why."""
    path = tmp_path / "ragged.csv"
    path.write_text("a,b\n1,2\n3\n")
    assert run(["datasets", "import", str(path), "--name", "cli-ragged"]) == 1
    assert "failed" in capsys.readouterr().out


def test_validate_only_prints_what_would_be_created(
    tmp_path: Path, table_version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Defaults are filled in, and nothing is stored."""
    file = tmp_path / "run.yaml"
    file.write_text(
        f"kind: TrainingRun\ntraining_run: {{spec: {{dataset_version: {table_version}, "
        "model: models/cli-dry}}\n"
    )
    assert run(["apply", "--validate-only", "-f", str(file)]) == 0
    assert "batch_size: 128" in capsys.readouterr().out
    assert run(["models", "show", "cli-dry"]) == 1


@pytest.mark.slow
def test_a_scan_by_file_shows_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a file to marked rows with reasons, to the page, and to a detector among the models."""
    generator = np.random.default_rng(3)
    values = generator.normal(size=(300, 3))
    values[17] = 9.0
    pd.DataFrame(values, columns=["a", "b", "c"]).to_csv(tmp_path / "odd.csv", index=False)
    file = tmp_path / "scan.yaml"
    file.write_text(SCAN)
    assert run(["apply", "-f", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "outlierScans/cli-scan was created" in shown
    assert "3 of 300 rows marked (1 %)" in shown
    for arguments, expected in (
        (["runs", "list", "--filter", "state=SUCCEEDED"], "models/cli-odd-outliers/versions/1"),
        (["runs", "show", "outlierScans/cli-scan"], "marked_count: '3'"),
        (["runs", "watch", "outlierScans/cli-scan"], "detectors: hbos"),
        (["scans", "show", "cli-scan"], "of datasets/cli-odd/versions/1"),
        (["scans", "anomalies", "cli-scan", "--most", "1"], " 1    17 "),
        (["scans", "detectors"], "isolation_forest"),
        (["models", "show", "cli-odd-outliers"], "outlier detector"),
        (["trace", "models/cli-odd-outliers"], "outlierScans/cli-scan"),
    ):
        assert run(arguments) == 0, arguments
        assert expected in capsys.readouterr().out, arguments
    assert run(["scans", "download", "cli-scan", "--to", str(tmp_path / "scan")]) == 0
    assert "<html" in (tmp_path / "scan" / "page.html").read_text()
    assert len(pd.read_parquet(tmp_path / "scan" / "scores.parquet")) == 300


def test_agents_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts read resources as JSON."""
    assert run(["--json", "agents", "list"]) == 0
    first = capsys.readouterr().out.split("\n}\n")[0] + "\n}"
    assert json.loads(first)["id"] == "agent-1"


def test_a_debug_archive_tells_all_but_secrets(
    tmp_path: Path, suite: RunningSuite, table_version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file is enough to ask for help with, and safe to send."""
    found = next(
        iter(
            suite.datasets.ListDatasetImports(
                dataset_pb2.ListDatasetImportsRequest()
            ).dataset_imports
        )
    )
    path = tmp_path / "debug.tar.gz"
    assert run(["debug", found.name, "--output", str(path)]) == 0
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        texts = {
            name.partition("/")[2]: file.read().decode() for name, file in files.items() if file
        }
    assert {"run.json", "events.jsonl", "versions.json", "settings.json", "suite.json"} <= set(
        texts
    )
    assert {"logs/catalog.log", f"logs/{found.name.replace('/', '-')}.log"} <= set(texts)
    assert found.name in texts["run.json"]
    assert "SUCCEEDED" in texts["events.jsonl"]
    whole = "".join(texts.values())
    for secret in (*suite.suite.home.tokens().values(), *suite.suite.home.store_credentials()):
        assert secret not in whole


def test_the_doctor_finds_a_running_suite_well(
    suite: RunningSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    """Store, clocks, services and agents are looked at where they run."""
    assert run(["doctor"]) == 0
    shown = capsys.readouterr().out
    for line in (
        "our clock and the store's agree",
        "the trainer answers",
        "the outlier service answers",
        "the analyzer answers",
        "the tuner answers",
        "the pruner answers",
        "2 slots are ready",
    ):
        assert line in shown


TUNING = """
kind: TuningRun
tuning_run: {spec: {dataset_version: datasets/cli-tuned/versions/latest, families: [linear]}}
"""


@pytest.mark.slow
def test_a_model_is_found_by_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A search is followed to its end, says what it found, and can be looked at afterwards."""
    write_table(tmp_path)
    table = str(tmp_path / "table.npz")
    assert run(["datasets", "import", table, "--name", "cli-tuned", "--target", "y"]) == 0
    file = tmp_path / "tuning.yaml"
    file.write_text(TUNING)
    assert run(["apply", "--validate-only", "-f", str(file)]) == 0
    assert "metric: rmse" in capsys.readouterr().out
    options = ["--metric", "mae", "--budget", "10", "--family", "linear", "--cores", "1"]
    assert run(["tune", "cli-tuned", *options]) == 0
    shown = capsys.readouterr().out
    assert "models/cli-tuned/versions/1" in shown and "mae " in shown
    (name,) = set(re.findall(r"tuningRuns/[\w-]+", shown))
    for arguments in (["tunings", "show", name], ["tunings", "candidates", name, "--most", "2"]):
        assert run(arguments) == 0, arguments
        assert "linear" in capsys.readouterr().out, arguments
    assert run(["open", "--url-only", name]) == 0
    assert "report.html" in capsys.readouterr().out


def test_a_model_from_elsewhere_by_file_and_by_command(
    tmp_path: Path, suite: RunningSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipeline over a table of mixed columns is imported with its data, named and traced."""
    write_customers(tmp_path)
    table, net = str(tmp_path / "customers.csv"), str(tmp_path / "net.skops")
    assert run(["datasets", "import", table, "--name", "cli-customers", "--target", "kind"]) == 0
    file = tmp_path / "import.yaml"
    file.write_text(
        "kind: ModelImport\nmodel_import: {spec: {model: models/cli-foreign, upload: "
        "'file:net.skops', dataset_version: datasets/cli-customers/versions/latest}}\n"
    )
    assert run(["apply", "--validate-only", "-f", str(file)]) == 0
    assert "format: MODEL_FORMAT_SKOPS" in capsys.readouterr().out
    assert run(["models", "import", net, "--name", "cli-foreign", "--data", "cli-customers"]) == 0
    assert "models/cli-foreign/versions/1" in capsys.readouterr().out
    assert run(["models", "alias", "cli-foreign/versions/1", "champion"]) == 0
    assert run(["models", "list", "--filter", "aliases:champion AND latest_version>=1"]) == 0
    assert capsys.readouterr().out.count("champion=1") == 2
    assert run(["models", "show", "models/cli-foreign/versions/champion"]) == 0
    shown = capsys.readouterr().out
    for line in ("in: city object[rows]", "in: age float64[rows]", "validation/accuracy"):
        assert line in shown
    assert run(["trace", "models/cli-foreign/versions/champion"]) == 0
    drawn = capsys.readouterr().out
    for name in (
        "modelImports/",
        "uploads/",
        "datasets/cli-customers/versions/1",
        "datasetImports/",
    ):
        assert name in drawn
    assert run(["models", "alias", "cli-foreign", "champion", "--delete"]) == 0
    assert "has no alias" in capsys.readouterr().out
    assert run(["trace", "models/none"]) == 1
    assert "does not exist" in capsys.readouterr().err


def write_customers(folder: Path) -> None:
    """Writes a table of a text and a number, and a pipeline that was fitted on it."""
    generator = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"age": generator.normal(40, 9, 120), "city": generator.choice(["berlin", "rome"], 120)}
    )
    kinds = np.where((frame.age > 40) ^ (frame.city == "rome"), "new", "old")
    frame.assign(kind=kinds).to_csv(folder / "customers.csv", index=False)
    columns = [("texts", OneHotEncoder(), ["city"]), ("numbers", StandardScaler(), ["age"])]
    model = make_pipeline(ColumnTransformer(columns), DecisionTreeClassifier(random_state=0))
    (folder / "net.skops").write_bytes(skops_file(model.fit(frame, kinds)))


def test_a_sweep_says_what_would_go(
    suite: RunningSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run goes over all services and names nothing that was just made."""
    name = suite.upload("unused.csv", b"a,b\n1,2\n")
    assert run(["sweep", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert name not in shown
    assert "would go." in shown
    assert suite.transfers.GetUpload(transfer_pb2.GetUploadRequest(name=name)).filename
    assert run(["sweep", "--dry-run", "--older-than-hours", "0"]) == 1
    assert "must be at least 60 s" in capsys.readouterr().err


def test_no_secret_stands_in_a_command_line(suite: RunningSuite) -> None:
    """Everybody on the machine can read the arguments of processes."""
    shown = [" ".join(process.cmdline()) for process in suite.processes()]
    assert any("services catalog" in each for each in shown)
    for secret in (*suite.suite.home.tokens().values(), *suite.suite.home.store_credentials()):
        assert not [each for each in shown if secret in each]
