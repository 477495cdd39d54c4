"""SMAC with its random forest over JSON lines; see `study_rivals`. Runs in its own environment."""

import importlib
import json
import logging
import sys
import tempfile
from typing import Any

smac: Any = importlib.import_module("smac")
space: Any = importlib.import_module("ConfigSpace")
runs: Any = importlib.import_module("smac.runhistory.dataclasses")

_FACADES = {
    "forest": "HyperparameterOptimizationFacade",
    "process": "BlackBoxFacade",
}


def main() -> None:
    """Runs one study after another."""
    facade = getattr(smac, _FACADES[sys.argv[1] if len(sys.argv) > 1 else "forest"])
    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as folder:
            _run(facade, json.loads(line), folder)


def _run(facade: Any, task: dict[str, Any], folder: str) -> None:
    known = _space(task)
    scenario = smac.Scenario(
        known,
        deterministic=True,
        n_trials=task["trials"],
        seed=task["seed"],
        output_directory=folder,
    )
    first = facade.get_initial_design(
        scenario, additional_configs=[known.get_default_configuration()]
    )
    search = facade(
        scenario, _never, initial_design=first, overwrite=True, logging_level=logging.ERROR
    )
    for _ in range(task["trials"]):
        trial = search.ask()
        print(json.dumps(_plain(dict(trial.config), task)), flush=True)
        search.tell(trial, runs.TrialValue(cost=json.loads(sys.stdin.readline())))


def _never(config: Any, seed: int = 0) -> float:
    raise AssertionError("losses are told")


def _plain(found: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration in values of plain Python, steps undone."""
    plain = {}
    for each in task["parameters"]:
        if each["name"] not in found:
            continue
        value = found[each["name"]]
        if each["kind"] == "choice":
            plain[each["name"]] = each["values"][each["values"].index(value)]
        elif _has_steps(each):
            plain[each["name"]] = round(each["low"] + each["step"] * int(value), 12)
        else:
            plain[each["name"]] = int(value) if each["kind"] == "integer" else float(value)
    return plain


def _space(task: dict[str, Any]) -> Any:
    known = space.ConfigurationSpace(seed=task["seed"])
    for each in task["parameters"]:
        known.add(_parameter(each))
    for each in task["parameters"]:
        if each["parent"]:
            child, parent = known[each["name"]], known[each["parent"]]
            known.add(space.InCondition(child, parent, each["parent_values"]))
    return known


def _has_steps(each: dict[str, Any]) -> bool:
    return bool(each["kind"] == "float" and each["step"])


def _parameter(each: dict[str, Any]) -> Any:
    name, default = each["name"], each["default"]
    if each["kind"] == "choice":
        return space.CategoricalHyperparameter(name, each["values"], default_value=default)
    low, high = each["low"], each["high"]
    if _has_steps(each):
        # ConfigSpace knows no steps of numbers.
        places = [round((value - low) / each["step"]) for value in (low, high, default)]
        return space.UniformIntegerHyperparameter(name, *places)
    kind = "Integer" if each["kind"] == "integer" else "Float"
    make = getattr(space, f"Uniform{kind}Hyperparameter")
    return make(name, low, high, default, log=each["is_log"])


if __name__ == "__main__":
    main()
