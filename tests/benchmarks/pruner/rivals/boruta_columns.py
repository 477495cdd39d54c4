"""Boruta (Kursa and Rudnicki 2010) on a table, as its documentation has it.

Runs in an environment of its own. The first argument is a file with `features` (rows, columns)
and `truth` (rows,), the second the seed. It prints the CPU time in seconds and which columns it
keeps.
"""

import importlib
import json
import sys
import time

import numpy as np

boruta = importlib.import_module("boruta")
ensemble = importlib.import_module("sklearn.ensemble")


def main() -> None:
    """Selects columns."""
    path, seed = sys.argv[1:]
    table = np.load(path)
    started = time.process_time()
    forest = ensemble.RandomForestClassifier(n_jobs=1, class_weight="balanced", max_depth=5)
    found = boruta.BorutaPy(forest, n_estimators="auto", random_state=int(seed))
    found.fit(table["features"], table["truth"])
    took = time.process_time() - started
    print(json.dumps({"seconds": took, "kept": found.support_.tolist()}))


if __name__ == "__main__":
    main()
