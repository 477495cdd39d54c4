"""Where the trials of a search are kept, and what they are good for."""

import json
from dataclasses import asdict, dataclass

from common.artifacts import ObjectStore
from common.artifacts.protocol import ObjectMissingError
from common.runs.kind import run_prefix
from services.tuner.domain.search.library import Library

_PLAN = "plan.json"


@dataclass(frozen=True)
class Plan:
    """What all trials of a search have in common.

    Attributes:
        parts: Into how many folds the rows were to be split.
        digest: Of the folds: trials of others say nothing of these.
        continues: Names of the searches whose trials belong to it too, the first one first.
    """

    parts: int
    digest: str
    continues: tuple[str, ...] = ()


def trials_prefix(name: str) -> str:
    """Returns the prefix of the trials of a run, which no attempt of it owns."""
    return f"{run_prefix(name)}trials/"


def plan_of(library: Library) -> Plan:
    """Returns the plan of a search under way."""
    return Plan(library.parts, library.digest)


def plan_bytes(plan: Plan) -> bytes:
    """Returns a plan as it is kept."""
    return json.dumps(asdict(plan)).encode()


def plan_key(name: str) -> str:
    """Returns where the plan of a run is kept."""
    return f"{trials_prefix(name)}{_PLAN}"


def read_plan(store: ObjectStore, name: str) -> Plan | None:
    """Returns the plan of a run; None where no trial of it was kept."""
    try:
        plain = json.loads(store.read(plan_key(name))[0])
        return Plan(plain["parts"], plain["digest"], tuple(plain["continues"]))
    except (ObjectMissingError, ValueError, KeyError, TypeError):
        return None
