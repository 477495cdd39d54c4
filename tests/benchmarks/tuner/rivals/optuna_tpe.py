"""Optuna's TPE over JSON lines; see `study_rivals`. Runs in an environment of its own."""

import importlib
import json
import sys
from typing import Any

optuna: Any = importlib.import_module("optuna")


def main() -> None:
    """Runs one study after another."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for line in sys.stdin:
        _run(json.loads(line))


def _run(task: dict[str, Any]) -> None:
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=task["seed"]))
    study.enqueue_trial(task["default"])
    for _ in range(task["trials"]):
        trial = study.ask()
        print(json.dumps(_suggested(trial, task["parameters"])), flush=True)
        study.tell(trial, json.loads(sys.stdin.readline()))


def _suggested(trial: Any, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in parameters:
        name = each["name"]
        if each["parent"] and found.get(each["parent"]) not in each["parent_values"]:
            continue
        if each["kind"] == "choice":
            found[name] = trial.suggest_categorical(name, each["values"])
            continue
        suggest = trial.suggest_int if each["kind"] == "integer" else trial.suggest_float
        step = {"step": each["step"]} if each["step"] and not each["is_log"] else {}
        found[name] = suggest(name, each["low"], each["high"], log=each["is_log"], **step)
    return found


if __name__ == "__main__":
    main()
