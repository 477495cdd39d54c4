"""What the pool knows, and whom it tells what."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from services.trainer.pool.allocation import Demand
from services.trainer.pool.patience import RESERVE_SECONDS
from services.trainer.pool.pool import SILENCE_SECONDS, Pool, StaleAttemptError

RUN = "trainingRuns/a"
OTHER = "trainingRuns/b"
NORMAL, HIGH = trainer_pb2.PRIORITY_NORMAL, trainer_pb2.PRIORITY_HIGH


def demand(
    run: str = RUN, attempt: int = 1, wanted: int = 1, created: int = 0, priority: int = NORMAL
) -> Demand:
    """A demand for exactly so many slots."""
    address = f"{run}:{attempt}"
    return Demand(run, attempt, address, "token", wanted, wanted, wanted, priority, created)


def state(
    agent: str = "a", run: str = "", attempt: int = 0, assignment: int = 0, slots: int = 1
) -> agents_pb2.JoinRequest:
    """A heartbeat."""
    return agents_pb2.JoinRequest(
        agent=trainer_pb2.Agent(id=agent, slots=slots, training_run=run),
        attempt=attempt,
        coordinator_address=f"{run}:{attempt}" if run else "",
        assignment=assignment,
    )


def test_idle_agent_is_sent_once() -> None:
    """An assignment goes out once, and the run's coordinator learns of the agent."""
    pool = Pool()
    pool.hear(state(), 0.0)
    pool.recruit(demand())
    plan = pool.plan(0.0)
    assert plan.assignments["a"].training_run == RUN
    assert plan.assignments["a"].token == "token"
    assert [agent.id for agent in plan.rosters[RUN].agents] == ["a"]
    assert not pool.plan(0.0).assignments


def test_new_pool_learns_from_agents_and_coordinators() -> None:
    """After a restart nobody is moved: agents and coordinators say what they are doing."""
    pool = Pool()
    pool.hear(state(run=RUN, attempt=3), 0.0)
    pool.recruit(demand("trainingRuns/other"))
    pool.recruit(demand(attempt=3))
    plan = pool.plan(0.0)
    assert not plan.assignments
    assert [agent.id for agent in plan.rosters[RUN].agents] == ["a"]
    assert not plan.rosters[RUN].wanted_back


def test_older_attempt_is_refused() -> None:
    """An attempt older than one that an agent or a coordinator has named gets nothing."""
    pool = Pool()
    pool.hear(state(run=RUN, attempt=2), 0.0)
    with pytest.raises(StaleAttemptError):
        pool.recruit(demand(attempt=1))
    pool.recruit(demand(attempt=3))
    with pytest.raises(StaleAttemptError):
        pool.recruit(demand(attempt=2))


def test_take_over_moves_agents_to_the_new_coordinator() -> None:
    """Agents of an attempt whose coordinator died are sent to the next one at once."""
    pool = Pool()
    pool.hear(state(run=RUN, attempt=1), 0.0)
    first = demand(attempt=1)
    pool.recruit(first)
    pool.recruit(demand(attempt=2))
    pool.withdraw(first)
    assert pool.plan(0.0).assignments["a"].attempt == 2


def test_silent_agent_gets_no_work_until_it_is_heard_again() -> None:
    """A frozen agent is passed over; its heartbeat brings it back."""
    pool = Pool()
    pool.hear(state(), 0.0)
    pool.recruit(demand())
    late = SILENCE_SECONDS + 1
    assert not pool.plan(late).assignments
    pool.hear(state(), late)
    assert pool.plan(late).assignments


def test_leaving_agent_gets_no_work() -> None:
    """An agent that is about to end is not assigned."""
    pool = Pool()
    leaving = state()
    leaving.leaving = True
    pool.hear(leaving, 0.0)
    pool.recruit(demand())
    assert not pool.plan(0.0).assignments


def test_refused_assignment_is_not_repeated() -> None:
    """An agent that knows a newer attempt says no; it is not asked for ever."""
    pool = Pool()
    pool.hear(state(), 0.0)
    pool.recruit(demand())
    number = pool.plan(0.0).assignments["a"].number
    pool.hear(state(assignment=number), 0.0)
    assert not pool.plan(0.0).assignments
    pool.recruit(demand(attempt=2))
    assert pool.plan(0.0).assignments["a"].attempt == 2


def test_agent_comes_from_another_run_only_when_that_lets_it_go() -> None:
    """A surplus agent is wanted back first, and assigned when it is idle."""
    pool = Pool()
    pool.hear(state("a", RUN, 1), 0.0)
    pool.hear(state("b", RUN, 1), 0.0)
    pool.recruit(Demand(RUN, 1, f"{RUN}:1", "token", 1, 1, 2, NORMAL, 0))
    pool.recruit(demand(OTHER, created=1))
    plan = pool.plan(0.0)
    assert plan.rosters[RUN].wanted_back == ["a"]
    assert not plan.assignments
    pool.hear(state("a"), 0.0)
    assert pool.plan(0.0).assignments["a"].training_run == OTHER


def test_heartbeat_without_news_changes_nothing() -> None:
    """Protects the trainer from a new plan for each of its agents' heartbeats."""
    pool = Pool()
    assert pool.hear(state(), 0.0)
    assert not pool.hear(state(), 1.0)
    assert pool.hear(state(slots=2), 2.0)
    assert pool.hear(state(slots=2), 2.0 + SILENCE_SECONDS + 1)


def test_slots_are_kept_for_a_run_whose_process_is_starting() -> None:
    """A run that is expected has its place; its agents are sent to it when it asks."""
    pool = Pool()
    pool.hear(state(), 0.0)
    pool.expect([demand(attempt=0)], working=())
    assert not pool.plan(0.0).assignments
    assert pool.may_begin(RUN, 0.0)
    pool.recruit(demand(OTHER, created=1))
    assert not pool.plan(0.0).assignments
    pool.expect([], working=[RUN])
    assert not pool.plan(0.0).assignments
    pool.recruit(demand())
    assert pool.plan(0.0).assignments["a"].training_run == RUN


def test_expected_run_that_is_gone_keeps_nothing() -> None:
    """A run that was cancelled before it began holds no slots."""
    pool = Pool()
    pool.hear(state(), 0.0)
    pool.expect([demand(attempt=0)], working=())
    pool.expect([], working=())
    pool.recruit(demand(OTHER, created=1))
    assert pool.plan(0.0).assignments["a"].training_run == OTHER


def test_waiting_run_is_told_its_place_and_why() -> None:
    """Both the coordinator and whoever asks hear what a run waits for."""
    pool = Pool()
    pool.hear(state(run=OTHER, attempt=1), 0.0)
    pool.recruit(demand(OTHER))
    pool.recruit(demand(created=1))
    told = pool.plan(0.0).rosters[RUN].queue
    assert (told.position, told.slots_needed, told.slots_free) == (1, 1, 0)
    assert told.reason == trainer_pb2.WAIT_REASON_SLOTS
    assert pool.queue_place(RUN) == told
    assert pool.queue_place(OTHER) is None
    assert not pool.plan(0.0).rosters[OTHER].HasField("queue")


def test_run_without_enough_agents_begins_once_they_had_time_to_come() -> None:
    """Its process counts the time until it fails; a trainer that has just started knows nobody."""
    pool = Pool()
    pool.expect([demand(attempt=0)], working=())
    pool.plan(0.0)
    assert not pool.may_begin(RUN, 1.0)
    pool.plan(5.0)
    assert pool.may_begin(RUN, 5.0)


def test_higher_priority_has_a_run_give_its_agents_back() -> None:
    """A stopped run is told why; it is not spared as one that lost an agent would be."""
    pool = Pool()
    for agent in "ab":
        pool.hear(state(agent, RUN, 1), 0.0)
    pool.recruit(demand(wanted=2))
    pool.recruit(demand(OTHER, wanted=2, created=1, priority=HIGH))
    plan = pool.plan(0.0)
    assert plan.rosters[RUN].wanted_back == ["a", "b"]
    assert plan.rosters[RUN].queue.reason == trainer_pb2.WAIT_REASON_SLOTS
    pool.hear(state("a"), 0.1)
    plan = pool.plan(0.1)
    assert plan.assignments["a"].training_run == OTHER
    assert plan.rosters[RUN].wanted_back == ["b"]


def test_overdue_run_keeps_its_right_while_agents_are_on_their_way() -> None:
    """Protects from a swing: the plan that gives it agents must not end its being overdue."""
    pool = Pool()
    for agent in "abc":
        pool.hear(state(agent, RUN, 1), 0.0)
    pool.recruit(Demand(RUN, 1, f"{RUN}:1", "t", 1, 3, 3, NORMAL, 0))
    pool.recruit(demand(OTHER, wanted=2, created=1))
    assert not pool.plan(0.0).rosters[RUN].wanted_back
    late = RESERVE_SECONDS
    for agent in "abc":
        pool.hear(state(agent, RUN, 1), late)
    assert len(pool.plan(late).rosters[RUN].wanted_back) == 2
    assert len(pool.plan(late).rosters[RUN].wanted_back) == 2


class PoolMachine(RuleBasedStateMachine):
    """Agents that come, go, fall silent, obey and finish; runs that come, go and are taken over."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool()
        self.now = 0.0
        self.agents: dict[str, agents_pb2.JoinRequest] = {}
        self.demands: dict[str, Demand] = {}

    def _hear(self, agent: str) -> None:
        copy = agents_pb2.JoinRequest()
        copy.CopyFrom(self.agents[agent])
        self.pool.hear(copy, self.now)

    @rule(agent=st.sampled_from("abc"), slots=st.integers(1, 2))
    def join(self, agent: str, slots: int) -> None:
        """An agent joins, or joins again after its end."""
        self.pool.leave(agent)
        self.agents[agent] = state(agent, slots=slots)
        self._hear(agent)

    @rule(
        run=st.sampled_from("xyz"),
        sizes=st.lists(st.integers(1, 4), min_size=2, max_size=2).map(sorted),
        more=st.integers(0, 2),
        priority=st.sampled_from([NORMAL, HIGH]),
    )
    def recruit(self, run: str, sizes: list[int], more: int, priority: int) -> None:
        """A run asks, as a first or a further attempt."""
        least, wanted = sizes
        attempt = self.demands[run].attempt + 1 if run in self.demands else 1
        address, most = f"{run}:{attempt}", wanted + more
        asked = Demand(run, attempt, address, "t", least, wanted, most, priority, ord(run))
        try:
            self.pool.recruit(asked)
        except StaleAttemptError:
            return
        self.demands[run] = asked

    @rule(run=st.sampled_from("xyz"))
    def finish(self, run: str) -> None:
        """A run ends: its coordinator lets its agents go."""
        asked = self.demands.pop(run, None)
        if asked is None:
            return
        self.pool.withdraw(asked)
        for agent, told in self.agents.items():
            if told.agent.training_run == run:
                self._become_idle(agent)

    def _become_idle(self, agent: str) -> None:
        told = self.agents[agent]
        told.agent.training_run = ""
        told.attempt = 0
        told.coordinator_address = ""
        self._hear(agent)

    @rule()
    def obey(self) -> None:
        """Everybody does what the pool says, and nobody works for two runs."""
        plan = self.pool.plan(self.now)
        seen: list[str] = []
        for roster in plan.rosters.values():
            seen += [agent.id for agent in roster.agents] + list(roster.wanted_back)
        assert len(seen) == len(set(seen))
        for agent, assignment in plan.assignments.items():
            told = self.agents[agent]
            told.agent.training_run = assignment.training_run
            told.attempt = assignment.attempt
            told.coordinator_address = assignment.coordinator_address
            told.assignment = assignment.number
            self._hear(agent)
        for roster in plan.rosters.values():
            for agent in roster.wanted_back:
                self._become_idle(agent)

    @rule(seconds=st.floats(0.5, 40))
    def pass_time(self, seconds: float) -> None:
        """Time passes; agents give signs of life."""
        self.now += seconds
        for agent in self.agents:
            self._hear(agent)

    @invariant()
    def settles(self) -> None:
        """When everybody obeys, the pool soon has nothing more to say."""
        for _ in range(6):
            self.obey()
        plan = self.pool.plan(self.now)
        assert not plan.assignments
        assert not any(roster.wanted_back for roster in plan.rosters.values())


PoolMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=12)
TestPoolMachine = PoolMachine.TestCase
