"""A catalog, an outlier service and a store in memory, for policies that act on them."""

from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.tuner.v1 import policy_pb2, tuner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.memory import MemoryStore
from common.records import RecordStore
from common.runs.service import RunService
from common.runs.tail import Tails
from common.testing.run_server import Kicks
from services.tuner.champion.checking import Champions
from services.tuner.kind import TUNING_RUNS
from services.tuner.policy.acting import Actor
from services.tuner.policy.book import PolicyBook
from services.tuner.policy.checking import PolicyCheck
from services.tuner.policy.looking import Lookout
from services.tuner.policy.loop import PolicyLoop
from services.tuner.validation import Validator

DATA, MODEL, NAME = "datasets/d", "models/d", "tuningPolicies/p"
CLEAR, DOUBTFUL = (0.1, 0.05), (0.1, -0.01)
Outcome = policy_pb2.DecisionOutcome


def refused(code: grpc.StatusCode, told: str) -> NoReturn:
    """Raises what a service answers."""
    nothing = grpc.aio.Metadata()
    raise grpc.aio.AioRpcError(code, nothing, nothing, told, None)


@dataclass
class Catalog:
    """One data set, and one model with an alias."""

    records: RecordStore
    versions: list[dataset_pb2.DatasetVersion] = field(default_factory=list)
    models: list[model_pb2.ModelVersion] = field(default_factory=list)
    alias: int = 0
    drift: float = 0.0
    moves: int = 0

    def add_version(self, test: int = 50) -> str:
        """Adds a version of the data."""
        name = f"{DATA}/versions/{len(self.versions) + 1}"
        version = dataset_pb2.DatasetVersion(name=name)
        version.split_counts.train, version.split_counts.test = 100, test
        version.schema.task = dataset_pb2.TASK_REGRESSION
        version.schema.target = "y"
        for each in ("x", "y"):
            column = version.schema.columns.add(name=each, distinct_count=40)
            column.type = dataset_pb2.COLUMN_TYPE_NUMERIC
            column.numeric.max = 3.5
        self.versions.append(version)
        self.records.create(version)
        return name

    def add_model(self, *inputs: str) -> model_pb2.ModelVersion:
        """Adds a version of the model."""
        model = model_pb2.ModelVersion(
            name=f"{MODEL}/versions/{len(self.models) + 1}",
            format=model_pb2.MODEL_FORMAT_SKOPS,
            task=dataset_pb2.TASK_REGRESSION,
        )
        model.artifacts["skops"].uri = "s3://b/k"
        model.lineage.inputs.extend(inputs)
        self.models.append(model)
        return model

    async def ListDatasetVersions(self, request: Any) -> Any:  # noqa: N802
        """Returns the newest."""
        assert request.parent == DATA
        return dataset_pb2.ListDatasetVersionsResponse(dataset_versions=self.versions[-1:])

    async def GetDatasetVersion(self, request: Any) -> Any:  # noqa: N802
        """Returns a version."""
        return next(each for each in self.versions if each.name == request.name)

    async def DiffDatasetVersions(self, request: Any) -> Any:  # noqa: N802
        """Says that a column moved, and the time did."""
        kept = dataset_pb2.COLUMN_CHANGE_KEPT
        diff = dataset_pb2.DiffDatasetVersionsResponse()
        number = dataset_pb2.COLUMN_TYPE_NUMERIC
        diff.columns.add(name="x", change=kept, wasserstein=self.drift, type=number)
        diff.columns.add(
            name="t", change=kept, wasserstein=9.0, type=dataset_pb2.COLUMN_TYPE_TIMESTAMP
        )
        return diff

    async def GetModelVersion(self, request: Any) -> Any:  # noqa: N802
        """Returns a version, by number or alias."""
        number = request.name.rpartition("/")[2]
        place = self.alias if number == "champion" else int(number)
        if not place:
            refused(grpc.StatusCode.NOT_FOUND, "There is no such alias.")
        return self.models[place - 1]

    async def SetModelAlias(self, request: Any) -> Any:  # noqa: N802
        """Moves the alias from where it was seen."""
        number = int(request.name.rpartition("/")[2])
        if self.alias not in (request.former_version, number):
            refused(grpc.StatusCode.FAILED_PRECONDITION, "The alias points elsewhere by now.")
        self.moves += self.alias != number
        self.alias = number
        return model_pb2.Model()


@dataclass
class Outliers:
    """Has feedback."""

    rows: int = 0
    filters: list[str] = field(default_factory=list)

    async def ListOutlierFeedback(self, request: Any) -> Any:  # noqa: N802
        """Returns it."""
        self.filters.append(request.filter)
        found = [outlier_pb2.OutlierFeedback(row_count=self.rows)] if self.rows else []
        return outlier_pb2.ListOutlierFeedbackResponse(feedback=found)


class Bench:
    """A tuner's policies, whose searches nobody works on."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.records = RecordStore(self.store)
        self.catalog, self.outliers = Catalog(self.records), Outliers()
        self.kicks = Kicks()
        self.tails = Tails(TUNING_RUNS, self.store, self.records)
        self.runs = RunService(TUNING_RUNS, self.records, self.tails, self.kicks)
        stub: Any = self.catalog
        feedback: Any = self.outliers
        champions = Champions(stub, self.store, self.records)
        self.validator = Validator(stub, stub, champions, self.runs.get)
        self.lookout = Lookout(stub, stub, feedback)
        self.book = PolicyBook(self.records)
        self.actor = Actor(self.book, self.lookout, self.validator, self.runs, stub)
        self.loop = PolicyLoop(self.book, self.actor, 60.0)
        self.catalog.add_version()

    async def create(self, **triggers: Any) -> policy_pb2.TuningPolicy:
        """Creates the policy."""
        check = PolicyCheck(self.validator, self.lookout)
        draft = policy_pb2.TuningPolicy(
            dataset=DATA, triggers=policy_pb2.PolicyTriggers(**triggers), labels={"team": "blue"}
        )
        policy = await check.resolved(draft)
        policy.name = NAME
        return self.book.create(policy, None)

    @property
    def policy(self) -> policy_pb2.TuningPolicy:
        """As it is stored."""
        return self.book.get(NAME)

    @property
    def decisions(self) -> list[policy_pb2.TuningDecision]:
        """All of them, the oldest first."""
        request = policy_pb2.ListTuningDecisionsRequest(parent=NAME, order_by="name")
        return list(self.book.decisions(request).resources)

    @property
    def searches(self) -> list[tuner_pb2.TuningRun]:
        """All of them, the oldest first."""
        found = self.records.find("tuningRuns", tuner_pb2.TuningRun)
        return sorted((each.resource for each in found), key=lambda run: run.name)

    def finish(self, gain: tuple[float, float] | None = None, rows: int = 100) -> None:
        """Lets the newest search succeed with a model."""
        run = self.searches[-1]
        model = self.catalog.add_model(run.spec.dataset_version, run.name)

        def change(run: tuner_pb2.TuningRun) -> tuner_pb2.TuningRun:
            run.status.state = run_pb2.RUN_STATE_SUCCEEDED
            run.model_version = model.name
            run.summary.metric = "rmse"
            if gain is not None:
                comparison = run.summary.comparison
                comparison.model_version = run.spec.champion
                comparison.gain, comparison.gain_low = gain
                comparison.gain_high, comparison.row_count = 0.2, rows
            return run

        self.records.update(run.name, tuner_pb2.TuningRun, change)

    async def first(self, **triggers: Any) -> None:
        """Creates the policy, and a first champion."""
        await self.create(**triggers)
        await self.loop.look_once()
        self.finish()
        await self.loop.look_once()
