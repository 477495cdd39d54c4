"""What agents are told to start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aimass.trainer.v1 import agents_pb2
from common.telemetry import tracecontext
from services.trainer.coordinator.keys import WorkerKeys
from services.trainer.coordinator.world import World


@dataclass(frozen=True)
class Orders:
    """Writes the orders of a run.

    Attributes:
        job_key: Key of the job file.
        keys: What workers reach the store by; None where their agents have keys.
        variables: Environment of every worker, in place of its agent's.
    """

    job_key: str = ""
    keys: WorkerKeys | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def start(
        self,
        world: World,
        agent: str,
        environments: Sequence[Mapping[str, str]],
        checkpoint_key: str,
    ) -> agents_pb2.Order:
        """Returns the order to start an agent's workers of a world.

        Args:
            world: The world.
            agent: The agent's id.
            environments: What Horovod needs, by rank.
            checkpoint_key: Checkpoint to start from; empty for the host's commit.
        """
        start = agents_pb2.StartWorld(
            world=world.number,
            job_key=self.job_key,
            checkpoint_key=checkpoint_key,
            traceparent=tracecontext.current_traceparent(),
        )
        own = self._environment()
        for rank in world.ranks_of(agent).values():
            start.slots.add(rank=rank, environment={**environments[rank], **own})
        return agents_pb2.Order(start_world=start)

    def build(
        self, world: World, checkpoint_key: str, *, only_commit: bool = False
    ) -> agents_pb2.Order:
        """Returns the order to build the package, or only to store the newest commit."""
        build = agents_pb2.BuildPackage(
            world=world.number,
            job_key=self.job_key,
            checkpoint_key=checkpoint_key,
            traceparent=tracecontext.current_traceparent(),
            environment=self._environment(),
            only_commit=only_commit,
        )
        return agents_pb2.Order(build_package=build)

    def begin_world(self) -> None:
        """Notes that a world begins with the keys as they are. Call it before `start`."""
        if self.keys is not None:
            self.keys.begin_world()

    def want_world(self) -> bool:
        """Returns whether workers should begin anew, with newer keys to the store than theirs."""
        return self.keys is not None and self.keys.want_world()

    def _environment(self) -> dict[str, str]:
        keys = self.keys.environment() if self.keys is not None else {}
        return {**keys, **self.variables}
