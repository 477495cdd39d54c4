"""What policies do: they look, search, decide. Each step may be repeated, by any replica."""

import asyncio
import logging

import grpc

from aimass.catalog.v1 import model_pb2, model_pb2_grpc
from aimass.tuner.v1 import policy_pb2, tuner_pb2
from common.errors import (
    AimassError,
    AlreadyExistsError,
    InvalidInputError,
    NotFoundError,
)
from common.identity import acting_as
from common.names import ModelVersionName
from common.runs.kind import is_terminal
from common.runs.service import RunService
from services.tuner.kind import TUNING_RUNS
from services.tuner.policy.book import PolicyBook, run_id
from services.tuner.policy.looking import Lookout
from services.tuner.policy.outcome import Conclusion, concluded, failed
from services.tuner.policy.triggers import Seen, Verdict, judged
from services.tuner.validation import Validator

_log = logging.getLogger(__name__)

_CONTINUE = "continue_from"
# What is wrong with the request for a search, as opposed to a service that is away.
_WRONG = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
)


class Actor:
    """Acts for policies.

    Args:
        book: Where policies are kept.
        lookout: Looks at data, champion and feedback.
        validator: Resolves specifications.
        runs: The generic part of searches.
        models: Stub of the catalog's models, whose aliases are moved.
    """

    def __init__(
        self,
        book: PolicyBook,
        lookout: Lookout,
        validator: Validator,
        runs: RunService[tuner_pb2.TuningRun],
        models: "model_pb2_grpc.ModelServiceAsyncStub",
    ) -> None:
        self._book = book
        self._lookout = lookout
        self._validator = validator
        self._runs = runs
        self._models = models

    async def act(self, policy: policy_pb2.TuningPolicy) -> None:
        """Does what there is to do for a policy now.

        Raises:
            AimassError, AioRpcError: Something is away; the next time it may be there.
        """
        with acting_as(policy.name):
            if policy.state.decision:
                await self._go_on(policy)
            elif not policy.paused:
                seen, verdict = await self._judge(policy)
                if verdict.is_news:
                    await self._begin(policy, seen, verdict)

    async def request(self, policy: policy_pb2.TuningPolicy) -> policy_pb2.TuningDecision:
        """Searches whatever there is to see; returns the decision under way."""
        with acting_as(policy.name):
            if policy.state.decision:
                return await asyncio.to_thread(self._book.decision, policy.state.decision)
            seen, _ = await self._judge(policy)
            verdict = Verdict(policy_pb2.POLICY_TRIGGER_REQUEST, "It was asked for.")
            return await self._begin(policy, seen, verdict)

    async def foresee(self, policy: policy_pb2.TuningPolicy) -> policy_pb2.TuningDecision:
        """Returns what would be done now; stores nothing."""
        if policy.state.decision:
            decision = await asyncio.to_thread(self._book.decision, policy.state.decision)
            decision.reason = f"{decision.name} is under way; nothing else is begun before its end."
            decision.name = ""
            return decision
        seen, verdict = await self._judge(policy)
        draft = await self._draft(policy, seen, verdict)
        if policy.paused:
            draft.outcome = policy_pb2.DECISION_OUTCOME_NOT_NEEDED
            draft.reason = f"The policy is paused. Otherwise: {draft.reason}"
        return draft

    async def _judge(self, policy: policy_pb2.TuningPolicy) -> tuple[Seen, Verdict]:
        seen = await self._lookout.look(policy)
        return seen, judged(policy, seen)

    async def _begin(
        self, policy: policy_pb2.TuningPolicy, seen: Seen, verdict: Verdict
    ) -> policy_pb2.TuningDecision:
        draft = await self._draft(policy, seen, verdict)
        if draft.outcome != policy_pb2.DECISION_OUTCOME_SEARCHING:
            draft.end_time.CopyFrom(draft.create_time)
        decision = await asyncio.to_thread(self._book.begin, policy, draft)
        _log.info("%s: %s", decision.name, decision.reason)
        if decision.outcome == policy_pb2.DECISION_OUTCOME_SEARCHING:
            decision.tuning_run = await self._search(policy, decision)
        return decision

    async def _draft(
        self, policy: policy_pb2.TuningPolicy, seen: Seen, verdict: Verdict
    ) -> policy_pb2.TuningDecision:
        """Returns the decision that follows, with the search that it needs resolved."""
        draft = policy_pb2.TuningDecision(
            outcome=policy_pb2.DECISION_OUTCOME_NOT_NEEDED,
            reason=verdict.reason,
            trigger=verdict.trigger,
            dataset_version=seen.version,
            base_version=seen.base,
            drifts=seen.drifts,
            feedback_rows=seen.feedback_rows,
            champion=seen.champion,
        )
        draft.create_time.FromNanoseconds(seen.moment)
        if verdict.trigger == policy_pb2.POLICY_TRIGGER_UNSPECIFIED:
            return draft
        try:
            draft.spec.CopyFrom(await self._resolved(policy, seen))
            draft.outcome = policy_pb2.DECISION_OUTCOME_SEARCHING
        except AimassError as error:
            if not isinstance(error, InvalidInputError | NotFoundError):
                raise
            _fail(draft, error.message)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _WRONG:
                raise
            _fail(draft, error.details() or "the catalog refuses")
        return draft

    async def _resolved(self, policy: policy_pb2.TuningPolicy, seen: Seen) -> tuner_pb2.TuningSpec:
        """Returns the search that follows; one that cannot go on from the last one begins anew."""
        spec = tuner_pb2.TuningSpec()
        spec.CopyFrom(policy.spec)
        spec.dataset_version = seen.version
        spec.champion = seen.champion
        spec.continue_from = policy.state.tuning_run
        try:
            return (await self._validator.resolve(spec)).spec
        except InvalidInputError as error:
            if not all(each.field.endswith(_CONTINUE) for each in error.violations):
                raise
            _log.info("%s begins anew: %s", policy.name, error)
        spec.continue_from = ""
        return (await self._validator.resolve(spec)).spec

    async def _search(
        self, policy: policy_pb2.TuningPolicy, decision: policy_pb2.TuningDecision
    ) -> str:
        """Creates the search of a decision, unless it is there; returns its name."""
        id_ = run_id(policy, decision)
        run = await self._validator.resolve(decision.spec)
        run.labels.update(policy.labels)
        try:
            needed = (run.spec.dataset_version, run.spec.continue_from)
            await self._runs.create(run, run_id=id_, references=[each for each in needed if each])
        except AlreadyExistsError:
            pass  # Whoever created it has crashed, or is another replica.
        name = TUNING_RUNS.name_of(id_)
        await asyncio.to_thread(self._book.note_run, decision.name, name)
        return name

    async def _go_on(self, policy: policy_pb2.TuningPolicy) -> None:
        decision = await asyncio.to_thread(self._book.decision, policy.state.decision)
        if decision.outcome == policy_pb2.DECISION_OUTCOME_SEARCHING:
            conclusion = await self._concluded(policy, decision)
            if conclusion is None:
                return
            decision.outcome, decision.reason = conclusion.outcome, conclusion.reason
            decision.end_time.GetCurrentTime()
            decision = await asyncio.to_thread(self._book.end, decision)
            _log.info("%s: %s", decision.name, decision.reason)
        await asyncio.to_thread(self._book.close, policy.name, decision)

    async def _concluded(
        self, policy: policy_pb2.TuningPolicy, decision: policy_pb2.TuningDecision
    ) -> Conclusion | None:
        """Returns what came of a decision's search; None while it is under way."""
        try:
            run = await self._runs.get(TUNING_RUNS.name_of(run_id(policy, decision)))
        except NotFoundError:
            return await self._missing(policy, decision)
        decision.tuning_run = run.name
        if not is_terminal(run):
            return None
        conclusion = concluded(decision, run)
        if conclusion.outcome != policy_pb2.DECISION_OUTCOME_FAILED:
            decision.model_version = run.model_version
            if run.summary.HasField("comparison"):
                decision.comparison.CopyFrom(run.summary.comparison)
        return await self._moved(policy, decision, conclusion) if conclusion.moves else conclusion

    async def _missing(
        self, policy: policy_pb2.TuningPolicy, decision: policy_pb2.TuningDecision
    ) -> Conclusion | None:
        """Creates a search that a crash kept from being created."""
        if decision.tuning_run:
            return failed(f"{decision.tuning_run} was deleted.")
        try:
            await self._search(policy, decision)
        except (InvalidInputError, NotFoundError) as error:
            return failed(error.message)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _WRONG:
                raise
            return failed(error.details() or "The catalog refuses.")
        return None

    async def _moved(
        self,
        policy: policy_pb2.TuningPolicy,
        decision: policy_pb2.TuningDecision,
        conclusion: Conclusion,
    ) -> Conclusion:
        """Moves the alias from where it was when the decision was begun; may be repeated."""
        former = 0
        if decision.champion:
            former = ModelVersionName.from_name(decision.champion).number or 0
        request = model_pb2.SetModelAliasRequest(
            name=decision.model_version, alias=policy.alias, former_version=former
        )
        try:
            await self._models.SetModelAlias(request)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _WRONG:
                raise
            told = f"{conclusion.reason} But the alias stays: {error.details()}"
            return Conclusion(policy_pb2.DECISION_OUTCOME_OVERTAKEN, told)
        told = f"{conclusion.reason} The alias `{policy.alias}` points at it now."
        return Conclusion(conclusion.outcome, told)


def _fail(draft: policy_pb2.TuningDecision, problem: str) -> None:
    draft.outcome = policy_pb2.DECISION_OUTCOME_FAILED
    draft.reason = f"{draft.reason} But there can be no search: {problem}"
