"""What the conductor tells of a new world, with agents and workers that are made up."""

import asyncio
from collections.abc import Sequence
from unittest.mock import Mock, create_autospec

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from aimass.type.v1 import event_pb2
from common.artifacts.memory import MemoryStore
from services.trainer.coordinator.checkpoints import Checkpoints
from services.trainer.coordinator.conductor import Conductor
from services.trainer.coordinator.crew import CrewSize
from services.trainer.coordinator.journal import Journal
from services.trainer.coordinator.members import Member
from services.trainer.coordinator.rendezvous import Host, Rendezvous


def attached(conductor: Conductor, name: str, commit_step: int) -> Member:
    """Attaches an agent that can run a worker."""
    agent = trainer_pb2.Agent(id=name, slots=1)
    commit = agents_pb2.Commit(step=commit_step)
    member = conductor.members.attach(agents_pb2.AgentAttached(agent=agent, commit=commit))
    status = agents_pb2.AgentStatus(ready_slots=1)
    conductor.members.hear(member, agents_pb2.AttachRequest(status=status))
    return member


async def _train_again(conductor: Conductor, journal: Mock) -> None:
    """Loses the trained state before the package is built, and trains to the next step."""
    told = asyncio.Event()
    journal.membership.side_effect = lambda *_, **__: told.set()
    member = attached(conductor, "b", commit_step=3)
    assert await conductor.build_package(5) is None
    training = asyncio.create_task(conductor.train(CrewSize(1, 1, 1, 10.0)))
    order = await member.orders.get()
    assert order is not None
    environment = {"HOROVOD_RANK": "0", "HOROVOD_CYCLE_TIME": "5"}
    assert order.start_world.slots[0].environment == environment, "the run's own settings count"
    progress = agents_pb2.WorldProgress(world=order.start_world.world, steps=[4], beats=[1])
    conductor.members.hear(member, agents_pb2.AttachRequest(world_progress=progress))
    async with asyncio.timeout(10):
        await told.wait()
    training.cancel()
    await asyncio.gather(training, return_exceptions=True)


def test_training_goes_on_after_its_hosts_are_gone() -> None:
    """The new world has its own reason and recovery time, not those of the world before."""

    async def open_world(hosts: Sequence[Host]) -> list[dict[str, str]]:
        return [{"HOROVOD_RANK": "0", "HOROVOD_CYCLE_TIME": "1"} for _ in hosts]

    journal = create_autospec(Journal, instance=True)
    rendezvous = create_autospec(Rendezvous, instance=True)
    rendezvous.open_world.side_effect = open_world
    conductor = Conductor(rendezvous, journal, Checkpoints(MemoryStore()))
    conductor.begin("job", variables={"HOROVOD_CYCLE_TIME": "5"})
    asyncio.run(_train_again(conductor, journal))
    (told,) = journal.membership.call_args.args
    assert (told.world, list(told.agents)) == (1, ["b"])
    assert told.reason == "the hosts with the trained state are gone"
    assert told.cause == event_pb2.CHANGE_CAUSE_STATE_LOST
    assert 0 <= told.recovery_time.ToTimedelta().total_seconds() < 10
    assert told.steps_lost == 2


async def _build_again(conductor: Conductor) -> None:
    """Kills the worker that builds the package, and lets the next one finish."""
    member = attached(conductor, "b", commit_step=5)
    building = asyncio.create_task(conductor.build_package(5))
    for is_last in (False, True):
        order = await member.orders.get()
        assert order is not None
        world = order.build_package.world
        if is_last:
            package = agents_pb2.PackagePublished(model_version=b"{}")
            report = agents_pb2.WorkerReport(world=world, rank=0, package=package)
            message = agents_pb2.AttachRequest(worker_report=report)
        else:
            exited = agents_pb2.WorkerExited(world=world, rank=0, exit_code=-9)
            message = agents_pb2.AttachRequest(worker_exited=exited)
        conductor.members.hear(member, message)
        order = await member.orders.get()
        assert order is not None and order.stop_world.world == world
        commit = agents_pb2.Commit(step=5)
        stopped = agents_pb2.WorldStopped(world=world, commit=commit)
        conductor.members.hear(member, agents_pb2.AttachRequest(world_stopped=stopped))
    async with asyncio.timeout(10):
        assert await building is not None


def test_fault_while_the_model_is_built_is_told_too() -> None:
    """It costs no step, but time, which belongs into the run's account."""
    journal = create_autospec(Journal, instance=True)
    rendezvous = create_autospec(Rendezvous, instance=True)
    conductor = Conductor(rendezvous, journal, Checkpoints(MemoryStore()))
    conductor.begin("job")
    asyncio.run(_build_again(conductor))
    (told,) = journal.membership.call_args.args
    assert (told.cause, told.faults) == (event_pb2.CHANGE_CAUSE_WORKER_DIED, 1)
    assert told.reason == "worker 0 was killed by SIGKILL"
    assert told.steps_lost == 0
