"""Which processes make up a suite: pure functions from addresses and secrets to programs."""

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.local import readiness
from common.local.child import Program
from common.local.home import SuiteHome
from common.local.ports import HOST, LAST_PORT, PortReservations
from common.local.store import Store
from common.services import ADDRESS_VARIABLES, SERVICE_PORTS

_FIRST_OPEN_PORT = 1024
_STORE_KEYS = ("AIMASS_S3_ACCESS_KEY", "AIMASS_S3_SECRET_KEY", "AIMASS_S3_SESSION_TOKEN")
# A run's own variables would make services believe that they belong to it.
_NOT_INHERITED = (
    "AIMASS_RUN",
    "AIMASS_JOB",
    "AIMASS_TOKEN",
    "AIMASS_PORT",
    "AIMASS_HOST",
    "AIMASS_METRICS_PORT",
)


@dataclass(frozen=True)
class SuiteOptions:
    """What a user chooses.

    Attributes:
        agents: Number of worker agents.
        slots: Workers that one agent runs at a time.
    """

    agents: int = 2
    slots: int = 1


@dataclass(frozen=True)
class SuitePlan:
    """All programs of a suite, in the order of their start.

    Attributes:
        suite: Id of the suite.
        store: The object store.
        addresses: `host:port` of each service.
        services: The gRPC services.
        agents: The worker agents.
    """

    suite: str
    store: Store
    addresses: Mapping[str, str]
    services: tuple[Program, ...]
    agents: tuple[Program, ...]


@dataclass(frozen=True)
class _Parts:
    base: Mapping[str, str] = field(repr=False)
    tokens: Mapping[str, str] = field(repr=False)
    trainer_address: str


def inherited_environment(suite: str, home: SuiteHome) -> dict[str, str]:
    """Returns the environment that every process of a suite starts from."""
    kept = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
    local = f"{HOST},localhost"
    no_proxy = kept.get("no_proxy") or kept.get("NO_PROXY")
    addresses = f"{no_proxy},{local}" if no_proxy else local
    return {
        **kept,
        # A proxy of the user's must not stand between processes of one machine.
        "no_proxy": addresses,
        "NO_PROXY": addresses,
        "AIMASS_HOME": str(home.path),
        "AIMASS_LOG_DIR": str(home.log_folder),
        "AIMASS_SUITE": suite,
        "PYTHONUNBUFFERED": "1",
        # Lines of gRPC's C core are no JSON, and tell of every connection that ends.
        "GRPC_VERBOSITY": "ERROR",
    }


def make_plan(
    suite: str,
    home: SuiteHome,
    options: SuiteOptions,
    store: Store,
    ports: PortReservations,
) -> SuitePlan:
    """Says which processes run, with which command and environment.

    Args:
        suite: Id of the suite.
        home: State folder.
        options: What the user chose.
        store: The object store.
        ports: Where to take ports from.

    Raises:
        OSError: No port is free.
        ValueError: `AIMASS_METRICS_PORT` is no port that a service can take.
    """
    addresses = {name: f"{HOST}:{ports.reserve(port)}" for name, port in SERVICE_PORTS.items()}
    base = {
        **inherited_environment(suite, home),
        **store.environment,
        **{ADDRESS_VARIABLES[name]: address for name, address in addresses.items()},
    }
    parts = _Parts(base, home.ensure_tokens(), addresses["trainer"])
    return SuitePlan(
        suite=suite,
        store=store,
        addresses=addresses,
        services=tuple(
            _service(name, address, parts, home.token_file, _metrics(number, ports))
            for number, (name, address) in enumerate(addresses.items())
        ),
        agents=tuple(
            _agent(f"agent-{number}", options.slots, parts)
            for number in range(1, options.agents + 1)
        ),
    )


def _metrics(number: int, ports: PortReservations) -> dict[str, str]:
    """Returns where the service of that number serves its metrics: one port after the other."""
    first = os.environ.get("AIMASS_METRICS_PORT")
    if not first:
        return {}
    if not first.isdecimal() or not _FIRST_OPEN_PORT <= int(first) <= LAST_PORT:
        raise ValueError(
            f"AIMASS_METRICS_PORT={first}: give a port from {_FIRST_OPEN_PORT} to {LAST_PORT}"
        )
    return {"AIMASS_METRICS_PORT": str(ports.reserve(int(first) + number))}


def _service(
    name: str, address: str, parts: _Parts, token_file: Path, metrics: Mapping[str, str]
) -> Program:
    return Program(
        name=name,
        command=_python("services", name),
        environment={
            **parts.base,
            "AIMASS_HOST": HOST,
            "AIMASS_PORT": address.rpartition(":")[2],
            "AIMASS_TOKEN_FILE": str(token_file),
            "AIMASS_TOKEN": parts.tokens["service"],
            **metrics,
        },
        ready=readiness.serving_at(address),
        address=address,
        answers=readiness.answers_at(address),
    )


def _agent(name: str, slots: int, parts: _Parts) -> Program:
    # Its workers, which may run code of others, get keys of their own from each run.
    base = {key: value for key, value in parts.base.items() if key not in _STORE_KEYS}
    return Program(
        name=name,
        command=_python("services.trainer.agent"),
        environment={
            **base,
            "AIMASS_AGENT_ID": name,
            "AIMASS_AGENT_SLOTS": str(slots),
            "AIMASS_TOKEN": parts.tokens["agent"],
        },
        ready=_joined(name, parts),
    )


def _joined(name: str, parts: _Parts) -> Callable[[int], Awaitable[bool]]:
    return readiness.joined_at(parts.trainer_address, parts.tokens["local"], name)


def _python(*module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *module)
