"""What a run is to do with outliers, checked before it is created."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from aimass.trainer.v1 import trainer_pb2
from common.artifacts.reference import ArtifactReference
from common.data.scans import Scan
from common.data.schema import KnownDataset, SplitCounts
from common.errors import InvalidInputError
from common.protobuf import from_plain
from services.trainer.domain.estimate import estimate
from services.trainer.domain.outliers.resolution import resolve_outliers
from services.trainer.domain.resolution import resolve_against_data
from services.trainer.domain.specification import (
    Distillation,
    TrainingSpecification,
    read_specification,
    write_specification,
)
from tests.unit.trainer.test_resolution import DATA, NAMES, TABLE

SCORES = ArtifactReference(uri="s3://b/runs/s/scores.parquet", sha256="0" * 64, size_bytes=9)
SCAN = Scan("outlierScans/s", DATA.name, "succeeded", SCORES)


def resolve(
    outliers: Mapping[str, object],
    spec: Mapping[str, object] | None = None,
    scan: Scan = SCAN,
    data: KnownDataset = DATA,
) -> TrainingSpecification:
    plain = {**NAMES, **TABLE, **(spec or {}), "outliers": {"scan": "outlierScans/s", **outliers}}
    read = read_specification(from_plain(plain, trainer_pb2.TrainingSpec))
    return resolve_outliers(resolve_against_data(read, data), data, scan)


def test_a_scan_alone_is_used_as_weights() -> None:
    """Protects the default, and that the run is tied to the very scores."""
    outliers = resolve({}).outliers
    assert outliers is not None
    assert outliers.use == "down_weight"
    assert outliers.scores == SCORES


def test_a_proof_has_five_folds_and_the_epochs_of_the_run_up_to_fifty() -> None:
    """Protects the defaults of the comparison."""
    short, long = (resolve({"prove": {}}, {"epochs": epochs}).proof for epochs in (7, 700))
    assert short is not None and long is not None
    assert (short.folds, short.seed, short.epochs) == (5, 0, 7)
    assert long.epochs == 50


@pytest.mark.parametrize("outliers", [{"use": "drop"}, {"prove": {"folds": 3}}])
def test_resolving_again_changes_nothing(outliers: Mapping[str, object]) -> None:
    """Protects records: what is stored means the same when it is read."""
    once = resolve(outliers)
    again = read_specification(write_specification(once))
    assert again == once
    assert resolve_outliers(resolve_against_data(again, DATA), DATA, SCAN) == once


def test_the_estimate_counts_the_compared_models() -> None:
    """Protects the estimate: 15 models of at most 80 of the 100 rows come first."""
    spec = {"epochs": 4, "batch_size": 10}
    plain = estimate(resolve({"use": "drop"}, spec), DATA.counts)
    proved = estimate(resolve({"prove": {}}, spec), DATA.counts)
    assert (plain.steps, plain.proof_steps) == (40, 0)
    assert (proved.steps, proved.proof_steps) == (40 + 15 * 32, 15 * 32)
    assert proved.seconds > 10 * plain.seconds


RUNNING = replace(SCAN, state="running", scores=None)
FAILED = replace(SCAN, state="failed", scores=None)
OTHER = replace(SCAN, dataset_version="datasets/d/versions/2")
FEW = replace(DATA, counts=SplitCounts(train=49))


@pytest.mark.parametrize(
    ("outliers", "spec", "scan", "data", "field", "cure"),
    [
        ({"scan": ""}, {}, SCAN, DATA, "scan", "give outlierScans/"),
        ({}, {}, RUNNING, DATA, "scan", "is RUNNING; wait"),
        ({}, {}, FAILED, DATA, "scan", "take one that SUCCEEDED"),
        ({}, {}, OTHER, DATA, "scan", "take a scan of that version"),
        ({"use": "drop", "prove": {}}, {}, SCAN, DATA, "use", "leave one of the two out"),
        ({"prove": {"folds": 2}}, {}, SCAN, DATA, "prove.folds", "must be at least 3"),
        ({"prove": {}}, {}, SCAN, FEW, "prove.folds", "at least 50 training rows"),
        (
            {"prove": {"epochs": 11}},
            {"epochs": 10},
            SCAN,
            DATA,
            "prove.epochs",
            "more than the 10 of the run",
        ),
        (
            {"prove": {"epochs": 3}},
            {"schedule": {"warmup": {"epochs": 4.0}}},
            SCAN,
            DATA,
            "prove.epochs",
            "raise `prove.epochs`",
        ),
    ],
)
def test_errors_name_field_and_cure(
    outliers: Mapping[str, object],
    spec: Mapping[str, object],
    scan: Scan,
    data: KnownDataset,
    field: str,
    cure: str,
) -> None:
    """Protects the caller's time: what is wrong is said before the run exists."""
    with pytest.raises(InvalidInputError, match=cure) as caught:
        resolve(outliers, spec, scan, data)
    assert caught.value.violations[0].field == f"training_run.spec.outliers.{field}"


def test_compared_trainings_are_not_bounded_in_time() -> None:
    """Protects the comparison from trainings of different lengths."""
    with pytest.raises(InvalidInputError, match="leave one of the two out") as caught:
        resolve({"prove": {}}, {"max_duration": 60.0})
    assert caught.value.violations[0].field == "training_run.spec.max_duration"


@pytest.mark.parametrize(
    "known",
    [
        {"parent_model_version": "models/m/versions/1"},
        {"distillation": Distillation(teacher_model_version="models/m/versions/1")},
    ],
    ids=["parent", "teacher"],
)
def test_nobody_is_proved_who_may_have_learned_from_the_rows(known: Mapping[str, object]) -> None:
    """Protects the comparison from weights that know the held-out rows."""
    read = resolve({"prove": {}}).model_copy(update=known)
    with pytest.raises(InvalidInputError, match="may have learned") as caught:
        resolve_outliers(read, DATA, SCAN)
    assert caught.value.violations[0].field == "training_run.spec.outliers.prove"
