"""Rivals in environments of their own, which are asked and told over JSON lines.

A rival reads a line with the parameters, the seed and the number of trials; then for each trial it
writes a configuration and reads its loss; then the next study may come.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Float, Parameter
from services.tuner.domain.space.space import Space
from tests.benchmarks.tuner import environments
from tests.benchmarks.tuner.environments import Environment

_SCRIPTS = Path(__file__).parent / "rivals"

Objective = Callable[[Configuration], float]
Search = Callable[[Space, Objective, int, int], None]
"""Minimises an objective over a space with a seed and so many trials."""


@dataclass(frozen=True)
class Rival:
    """Another sampler.

    Attributes:
        name: As people know it.
        environment: Folder of its environment, in `ENVIRONMENTS`.
        requirements: What is installed there, with versions.
        script: In the folder `rivals`, with its arguments.
    """

    name: str
    environment: str
    requirements: tuple[str, ...]
    script: tuple[str, ...]


RIVALS = (
    Rival("TPE", "optuna", ("optuna==5.0.0",), ("optuna_tpe.py",)),
    Rival("SMAC", "smac", ("smac==2.4.1",), ("smac_forest.py",)),
)


@contextmanager
def started(rival: Rival) -> Iterator[Search]:
    """Starts a rival, and ends it afterwards."""
    script, *arguments = rival.script
    command = [str(interpreter(rival)), str(_SCRIPTS / script), *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def send(message: object) -> None:
            process.stdin.write(json.dumps(message) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]

        def search(space: Space, objective: Objective, seed: int, trials: int) -> None:
            send(_task(space, seed, trials))
            for _ in range(trials):
                send(objective(json.loads(process.stdout.readline())))  # type: ignore[union-attr]

        yield search
        process.stdin.close()


def interpreter(rival: Rival) -> Path:
    """Returns a rival's Python; its environment is made where it is not there."""
    made = Environment(rival.name, rival.environment, (rival.requirements,))
    return environments.interpreter(made)


def _task(space: Space, seed: int, trials: int) -> dict[str, Any]:
    return {
        "parameters": [_parameter(each) for each in space.parameters],
        "default": dict(space.default),
        "seed": seed,
        "trials": trials,
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    when = parameter.when
    found: dict[str, Any] = {
        "name": parameter.name,
        "default": parameter.default,
        "parent": when.parent if when else "",
        "parent_values": list(when.values) if when else [],
    }
    if isinstance(parameter, Choice):
        return {**found, "kind": "choice", "values": list(parameter.values)}
    return {
        **found,
        "kind": "float" if isinstance(parameter, Float) else "integer",
        **{name: getattr(parameter, name) for name in ("low", "high", "is_log", "step")},
    }
