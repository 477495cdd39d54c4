"""Policies act once for what is new, decide by numbers, and survive a crash at any step."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
import pytest
from google.protobuf import field_mask_pb2, json_format

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.tuner.v1 import policy_pb2, policy_pb2_grpc, tuner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.memory import MemoryStore
from common.errors import UnavailableError
from common.records import RecordStore
from common.runs.service import RunService
from common.runs.tail import Tails
from common.server import Service
from common.testing.run_server import Kicks
from common.testing.server import channel_to, running_server
from services.tuner.champion.checking import Champions
from services.tuner.kind import TUNING_RUNS
from services.tuner.policy.acting import Actor
from services.tuner.policy.book import PolicyBook
from services.tuner.policy.checking import PolicyCheck
from services.tuner.policy.looking import Lookout
from services.tuner.policy.loop import PolicyLoop
from services.tuner.policy.servicer import PolicyServicer
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
        self.validator = Validator(stub, champions, self.runs.get)
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


@pytest.fixture
def bench() -> Bench:
    """See `Bench`."""
    return Bench()


async def test_the_first_model_becomes_the_champion(bench: Bench) -> None:
    """There is nothing to compare with."""
    await bench.first()
    [decision] = bench.decisions
    assert decision.outcome == policy_pb2.DECISION_OUTCOME_FIRST
    assert decision.trigger == policy_pb2.POLICY_TRIGGER_NO_CHAMPION
    assert decision.model_version == f"{MODEL}/versions/1" and bench.catalog.alias == 1
    assert decision.HasField("end_time") and not decision.champion
    [run] = bench.searches
    assert (run.name, run.spec.champion, run.labels["team"]) == (decision.tuning_run, "", "blue")
    assert run.status.creator == NAME
    state = bench.policy.state
    assert (state.decision, state.tuning_run, state.decision_count) == ("", run.name, 1)
    assert state.learned_version == f"{DATA}/versions/1"


async def test_nothing_is_done_twice_for_a_version(bench: Bench) -> None:
    """However often a policy looks."""
    await bench.first()
    for _ in range(3):
        await bench.loop.look_once()
    assert (len(bench.decisions), len(bench.searches), bench.catalog.moves) == (1, 1, 1)


async def test_a_clearly_better_model_takes_the_alias(bench: Bench) -> None:
    """Its search went on from the last one, and was compared with the champion."""
    await bench.first()
    version = bench.catalog.add_version()
    await bench.loop.look_once()
    spec = bench.searches[-1].spec
    assert (spec.dataset_version, spec.champion) == (version, f"{MODEL}/versions/1")
    assert spec.continue_from == bench.searches[0].name
    assert bench.decisions[-1].outcome == policy_pb2.DECISION_OUTCOME_SEARCHING
    bench.finish(CLEAR)
    await bench.loop.look_once()
    decision = bench.decisions[-1]
    assert decision.outcome == policy_pb2.DECISION_OUTCOME_MOVED
    assert (bench.catalog.alias, decision.comparison.gain_low) == (2, CLEAR[1])
    assert "clearly better than models/d/versions/1" in decision.reason


@pytest.mark.parametrize(("gain", "rows"), [(DOUBTFUL, 100), (CLEAR, 29)])
async def test_without_a_clear_gain_the_alias_stays(
    bench: Bench, gain: tuple[float, float], rows: int
) -> None:
    """Also where too few rows say so. The next search goes on from this one all the same."""
    await bench.first()
    bench.catalog.add_version()
    await bench.loop.look_once()
    bench.finish(gain, rows)
    await bench.loop.look_once()
    decision = bench.decisions[-1]
    assert decision.outcome == policy_pb2.DECISION_OUTCOME_KEPT
    assert (bench.catalog.alias, decision.comparison.row_count) == (1, rows)
    assert bench.policy.state.tuning_run == bench.searches[-1].name


async def test_an_alias_that_was_moved_meanwhile_stays(bench: Bench) -> None:
    """Whoever moved it knows why."""
    await bench.first()
    bench.catalog.add_version()
    await bench.loop.look_once()
    bench.catalog.add_model()
    bench.catalog.alias = 2
    bench.finish(CLEAR)
    await bench.loop.look_once()
    assert bench.decisions[-1].outcome == policy_pb2.DECISION_OUTCOME_OVERTAKEN
    assert bench.catalog.alias == 2


@pytest.mark.parametrize(
    ("drift", "outcome"),
    [
        (0.1, policy_pb2.DECISION_OUTCOME_NOT_NEEDED),
        (0.3, policy_pb2.DECISION_OUTCOME_SEARCHING),
    ],
)
async def test_drift_within_the_bound_starts_nothing(
    bench: Bench, drift: float, outcome: Outcome.ValueType
) -> None:
    """Both are recorded with the numbers; times move always, and do not count."""
    await bench.first(drift=0.25)
    bench.catalog.add_version()
    bench.catalog.drift = drift
    await bench.loop.look_once()
    await bench.loop.look_once()
    decision = bench.decisions[-1]
    assert (len(bench.decisions), decision.outcome) == (2, outcome)
    [moved] = decision.drifts
    assert (moved.column, moved.distance) == ("x", drift)
    assert decision.base_version == f"{DATA}/versions/1"
    assert f"moved by {drift:.3g}" in decision.reason and "0.25" in decision.reason


async def test_feedback_beyond_the_bound_starts_a_search_once(bench: Bench) -> None:
    """On the version that there is; what was counted does not count again."""
    await bench.first(feedback_rows=5)
    bench.outliers.rows = 4
    await bench.loop.look_once()
    assert len(bench.decisions) == 1
    bench.outliers.rows = 5
    await bench.loop.look_once()
    decision = bench.decisions[-1]
    assert decision.trigger == policy_pb2.POLICY_TRIGGER_FEEDBACK
    assert decision.feedback_rows == 5
    since = bench.policy.state.feedback_until
    assert since == decision.create_time
    bench.finish(DOUBTFUL)
    bench.outliers.rows = 0
    await bench.loop.look_once()
    await bench.loop.look_once()
    assert bench.outliers.filters[-1].endswith(f'create_time>"{since.ToJsonString()}"')
    assert len(bench.decisions) == 2


async def test_a_champion_that_knows_the_data_needs_no_search(bench: Bench) -> None:
    """A model that was there before the policy may have learned from the newest version."""
    bench.catalog.add_model(f"{DATA}/versions/1")
    bench.catalog.alias = 1
    await bench.create()
    await bench.loop.look_once()
    [decision] = bench.decisions
    assert decision.outcome == policy_pb2.DECISION_OUTCOME_NOT_NEEDED
    assert "has learned from" in decision.reason and not bench.searches


async def test_a_paused_policy_begins_nothing_but_decides_what_is_under_way(bench: Bench) -> None:
    """Pausing loses no search."""
    await bench.create()
    await bench.loop.look_once()

    def pause(policy: policy_pb2.TuningPolicy) -> policy_pb2.TuningPolicy:
        policy.paused = True
        return policy

    bench.book.update(NAME, pause)
    bench.finish()
    await bench.loop.look_once()
    bench.catalog.add_version()
    await bench.loop.look_once()
    assert bench.catalog.alias == 1 and len(bench.decisions) == 1
    foreseen = await bench.actor.foresee(bench.policy)
    assert "is paused" in foreseen.reason


async def test_a_search_that_fails_leaves_the_alias(bench: Bench) -> None:
    """The decision says why, and the next version is looked at."""
    await bench.first()
    bench.catalog.add_version()
    await bench.loop.look_once()

    def fail(run: tuner_pb2.TuningRun) -> tuner_pb2.TuningRun:
        run.status.state = run_pb2.RUN_STATE_FAILED
        run.status.error.message = "The data are gone."
        return run

    bench.records.update(bench.searches[-1].name, tuner_pb2.TuningRun, fail)
    await bench.loop.look_once()
    decision = bench.decisions[-1]
    assert decision.outcome == policy_pb2.DECISION_OUTCOME_FAILED
    assert "The data are gone." in decision.reason and bench.catalog.alias == 1
    assert bench.policy.state.tuning_run == bench.searches[0].name


async def test_a_version_that_cannot_be_compared_on_is_a_decision_with_a_reason(
    bench: Bench,
) -> None:
    """There is no search that would end without one."""
    await bench.first()
    bench.catalog.add_version(test=0)
    await bench.loop.look_once()
    decision = bench.decisions[-1]
    assert decision.outcome == policy_pb2.DECISION_OUTCOME_FAILED
    assert "no test rows" in decision.reason and len(bench.searches) == 1


async def test_a_dry_run_says_what_would_happen_and_stores_nothing(bench: Bench) -> None:
    """With the search as it would be begun."""
    await bench.first()
    seen = await bench.actor.foresee(bench.policy)
    assert seen.outcome == policy_pb2.DECISION_OUTCOME_NOT_NEEDED
    assert "has been looked at" in seen.reason
    version = bench.catalog.add_version()
    foreseen = await bench.actor.foresee(bench.policy)
    assert foreseen.outcome == policy_pb2.DECISION_OUTCOME_SEARCHING
    assert foreseen.trigger == policy_pb2.POLICY_TRIGGER_NEW_VERSION and not foreseen.name
    assert (foreseen.spec.dataset_version, foreseen.champion) == (version, f"{MODEL}/versions/1")
    assert len(bench.decisions) == len(bench.searches) == 1


async def test_a_request_searches_once_until_it_is_decided(bench: Bench) -> None:
    """A client that repeats its call on a broken connection begins no second search."""
    await bench.first()
    begun = await bench.actor.request(bench.policy)
    again = await bench.actor.request(bench.policy)
    assert begun.name == again.name and len(bench.searches) == 2
    assert begun.trigger == policy_pb2.POLICY_TRIGGER_REQUEST


class Crash(BaseException):
    """The process dies."""


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("step", range(1, 10))
async def test_a_crash_at_any_write_repeats_nothing(
    bench: Bench, step: int, is_written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL before or after any write to the store: another replica comes to the same end."""
    await bench.first()
    bench.catalog.add_version()
    writes, store = 0, bench.store
    plain = {name: getattr(store, name) for name in ("write", "create", "replace")}

    def dying(name: str) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes == step and not is_written:
                raise Crash
            done = plain[name](*arguments)
            if writes == step:
                raise Crash
            return done

        return call

    for name in plain:
        setattr(store, name, dying(name))
    finished = False
    for _ in range(6):
        try:
            await bench.loop.look_once()
        except Crash:
            continue
        if len(bench.searches) == 2 and not finished:
            finished = True
            with monkeypatch.context() as alive:  # Whoever works on the search does not die.
                for name, call in plain.items():
                    alive.setattr(store, name, call)
                bench.finish(CLEAR)
    assert (len(bench.searches), len(bench.decisions)) == (2, 2)
    assert bench.decisions[-1].outcome == policy_pb2.DECISION_OUTCOME_MOVED
    assert (bench.catalog.alias, bench.catalog.moves, bench.policy.state.decision) == (2, 2, "")
    assert writes >= step, "there are fewer writes"


async def test_replicas_that_look_at_once_begin_one_search(bench: Bench) -> None:
    """Both have read the policy before either wrote."""
    policy = await bench.create()
    await bench.actor.act(policy)
    await bench.actor.act(policy)
    assert len(bench.searches) == len(bench.decisions) == 1


async def test_a_store_that_is_away_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One policy's trouble is not another's, and the next look does what was left."""
    await bench.create()

    def away(*arguments: object) -> NoReturn:
        raise UnavailableError("The store is away.")

    with monkeypatch.context() as trouble:
        trouble.setattr(bench.store, "create", away)
        await bench.loop.look_once()
    assert not bench.decisions
    await bench.loop.look_once()
    assert len(bench.searches) == 1


@asynccontextmanager
async def served(bench: Bench) -> AsyncIterator["policy_pb2_grpc.PolicyServiceAsyncStub"]:
    """Yields a stub of the service."""
    check = PolicyCheck(bench.validator, bench.lookout)
    servicer = PolicyServicer(bench.book, check, bench.actor, bench.loop)
    service = Service(
        "aimass.tuner.v1.PolicyService",
        lambda server: policy_pb2_grpc.add_PolicyServiceServicer_to_server(servicer, server),
    )
    async with running_server([service]) as address, channel_to(address) as channel:
        yield policy_pb2_grpc.PolicyServiceStub(channel)


async def test_a_policy_lives_from_its_creation_to_its_deletion(bench: Bench) -> None:
    """Defaults, lists, changes with an etag, decisions, deletion with all that belongs to it."""
    async with served(bench) as stub:
        wanted = policy_pb2.CreateTuningPolicyRequest(
            tuning_policy=policy_pb2.TuningPolicy(dataset=DATA),
            tuning_policy_id="p",
            validate_only=True,
        )
        checked = await stub.CreateTuningPolicy(wanted)
        assert (checked.alias, checked.spec.model) == ("champion", MODEL)
        assert checked.triggers.new_version and not bench.book.all()
        wanted.validate_only = False
        created = await stub.CreateTuningPolicy(wanted)
        get = policy_pb2.GetTuningPolicyRequest(name=NAME)
        assert await stub.GetTuningPolicy(get) == created
        page = await stub.ListTuningPolicies(
            policy_pb2.ListTuningPoliciesRequest(filter=f'dataset="{DATA}"')
        )
        assert list(page.tuning_policies) == [created]
        update = policy_pb2.UpdateTuningPolicyRequest(
            tuning_policy=policy_pb2.TuningPolicy(name=NAME, paused=True, etag=created.etag),
            update_mask=field_mask_pb2.FieldMask(paths=["paused"]),
        )
        changed = await stub.UpdateTuningPolicy(update)
        assert changed.paused and changed.triggers == created.triggers
        with pytest.raises(grpc.aio.AioRpcError) as stale:
            await stub.UpdateTuningPolicy(update)
        assert stale.value.code() is grpc.StatusCode.ABORTED
        begun = await stub.RunTuningPolicy(policy_pb2.RunTuningPolicyRequest(name=NAME))
        parent = policy_pb2.ListTuningDecisionsRequest(parent=NAME)
        assert [
            each.name for each in (await stub.ListTuningDecisions(parent)).tuning_decisions
        ] == [begun.name]
        await stub.DeleteTuningPolicy(policy_pb2.DeleteTuningPolicyRequest(name=NAME))
        assert not bench.records.find(f"{NAME}/decisions", policy_pb2.TuningDecision)
        with pytest.raises(grpc.aio.AioRpcError) as gone:
            await stub.ListTuningDecisions(parent)
        assert gone.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({}, "dataset"),
        ({"dataset": "d"}, "dataset"),
        ({"dataset": DATA, "alias": "latest"}, "alias"),
        ({"dataset": DATA, "triggers": {"drift": 0}}, "triggers.drift"),
        ({"dataset": DATA, "triggers": {"feedback_rows": 0}}, "triggers.feedback_rows"),
        ({"dataset": DATA, "spec": {"champion": "models/m@x"}}, "spec.champion"),
        ({"dataset": DATA, "spec": {"families": ["forest"]}}, "spec.families[0]"),
    ],
)
async def test_what_is_wrong_is_named_by_field(
    bench: Bench, policy: dict[str, Any], field: str
) -> None:
    """Of a policy, not of the search that it would begin."""
    async with served(bench) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.CreateTuningPolicy(
                policy_pb2.CreateTuningPolicyRequest(
                    tuning_policy=json_format.ParseDict(policy, policy_pb2.TuningPolicy())
                )
            )
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert str(refusal.value.details()).startswith(f"tuning_policy.{field}:")


async def test_data_without_test_rows_are_no_ground_for_decisions(bench: Bench) -> None:
    """Said when the policy is created, not with the first decision."""
    bench.catalog.add_version(test=0)
    async with served(bench) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.CreateTuningPolicy(
                policy_pb2.CreateTuningPolicyRequest(
                    tuning_policy=policy_pb2.TuningPolicy(dataset=DATA)
                )
            )
        assert "test_fraction" in str(refusal.value.details())
