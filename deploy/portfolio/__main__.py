"""Makes the portfolio: `make portfolio DATA=folder`."""

import argparse
import time
from pathlib import Path

from deploy.portfolio.leaving_out import left_out, summary, write
from deploy.portfolio.measuring import Bounds, RawResults, measure, missing_of
from deploy.portfolio.pool import pool_of
from deploy.portfolio.sets import development_sets, write_sources
from deploy.portfolio.shipping import known_sets

_FOLDS = 2
_RAW = Path("build/portfolio/raw.jsonl")
_SHIPPED = Path("services/tuner/domain/portfolio")


def main() -> None:
    """Measures what is not known yet, and writes what ships and how good it is."""
    asked = _arguments()
    sets = development_sets(asked.data)
    problems = {each.name: each.problem(asked.rows) for each in sets}
    pool = pool_of(list(problems.values()))
    results = RawResults(asked.raw)
    bounds = Bounds(asked.trial_seconds, time.monotonic() + asked.seconds)
    for fold in range(_FOLDS):
        for name, problem in problems.items():
            measure(name, problem, pool, fold, results, bounds)
            left = max(bounds.left, 0.0)
            told = f"part {fold + 1}, {name}: {len(results.known)} trials, {left:.0f} s left"
            print(told, flush=True)
    # One that is known in part would make what was not tried on it look bad.
    whole = {
        name: each
        for name, each in problems.items()
        if not missing_of(name, each, pool, 0, results)
    }
    known = known_sets(whole, results.known.values())
    compared = list(left_out(problems, known, results))
    lines = (each.model_dump_json() for each in known)
    (asked.to / "shipped.jsonl").write_text("".join(f"{line}\n" for line in lines))
    write(compared, asked.to / "left_out.csv")
    write_sources([each for each in sets if each.name in whole], asked.to / "sources.csv")
    print(summary(compared))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the development sets")
    parser.add_argument("--seconds", type=float, default=2_400.0, help="of measuring, at most")
    parser.add_argument("--trial-seconds", type=float, default=15.0, help="of a trial, at most")
    parser.add_argument("--rows", type=int, default=2_000, help="of a set, at most")
    parser.add_argument("--raw", type=Path, default=_RAW, help="file of what was measured")
    parser.add_argument("--to", type=Path, default=_SHIPPED, help="folder of what ships")
    return parser.parse_args()


if __name__ == "__main__":
    main()
