"""What prunings are tried on, and how they are asked for."""

from collections.abc import Iterator
from typing import Any

import pytest
from sklearn.ensemble import RandomForestClassifier

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from common.local.plan import SuiteOptions
from common.testing.suite import RunningSuite, running_suite
from tests.e2e.analysis_data import TARGET, import_model, measurements, table
from tests.support.foreign_models import skops_file

BUDGET = 60
TREES = ["fewer_members", "smaller_parts", "fewer_columns"]


def pruning_suite(folders: pytest.TempPathFactory, **settings: str) -> Iterator[RunningSuite]:
    """Yields a suite with a process for prunings ready, as it has at its users'."""
    home = folders.mktemp("pruner-suite")
    environment = {"AIMASS_PRUNER_WARM": "true", **settings}
    with running_suite(home, SuiteOptions(agents=1), environment) as running:
        yield running


def import_colours(suite: RunningSuite) -> str:
    """Imports four numbers and a colour; half is left to choose by and to judge on."""
    split = dataset_pb2.SplitSpec(validation_fraction=0.2, test_fraction=0.3)
    spec = dataset_pb2.DatasetImportSpec(target=TARGET, split=split)
    return suite.import_dataset("pruned-colours", "colours.csv", table(), spec)


def import_forest(suite: RunningSuite, data: str) -> str:
    """Imports a forest, which has learned from other rows of the same kind."""
    values, colours = measurements(1800)
    learned = RandomForestClassifier(100, random_state=0).fit(values[600:], colours[600:])
    return import_model(suite, "forest.skops", skops_file(learned), "forest", data)


def spec_of(version: str, **more: Any) -> pruner_pb2.PruningSpec:
    """Returns a pruning that may lose three hundredths of accuracy."""
    fields: dict[str, Any] = {"metric": "accuracy", "max_loss": 0.03, "compare": False, **more}
    spec = pruner_pb2.PruningSpec(model_version=version, **fields)
    spec.budget.FromSeconds(BUDGET)
    return spec


def points_of(suite: RunningSuite, name: str, size: int = 1000) -> list[pruner_pb2.Point]:
    """Returns the points of a pruning, page by page."""
    request = pruner_pb2.ListPointsRequest(name=name, page_size=size)
    found: list[pruner_pb2.Point] = []
    while True:
        page = suite.pruning.ListPoints(request)
        found += page.points
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


def version_of(suite: RunningSuite, name: str) -> model_pb2.ModelVersion:
    """Returns a model version."""
    return suite.models.GetModelVersion(model_pb2.GetModelVersionRequest(name=name))


def trainings_of(suite: RunningSuite, pruning: str) -> list[trainer_pb2.TrainingRun]:
    """Returns the trainings on workers that a pruning has made, the oldest first."""
    label = f"labels.pruning-run={pruning.rpartition('/')[2]}"
    request = trainer_pb2.ListTrainingRunsRequest(filter=label)
    return list(reversed(suite.training.ListTrainingRuns(request).training_runs))
