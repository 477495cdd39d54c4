"""`make fuzz [CALLS=100000] [ERRORS=file]`: malformed and extreme messages to every method."""

import sys
import tempfile
from collections import Counter
from pathlib import Path

from common.testing.suite import running_suite
from tests.fuzz.campaign import SERVICES, Outcome, attack

_MOST_GROWTH_BYTES = 16 * 1024**2
_TOLD_EACH = 5_000


def main() -> int:
    """Attacks all services; returns 1 where one did not stand it."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    errors = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    outcomes = []
    with (
        tempfile.TemporaryDirectory(prefix="aimass-fuzz-") as folder,
        running_suite(Path(folder)) as suite,
    ):
        for service in SERVICES:
            print(f"{service}: {calls:,} calls, seed {seed}", flush=True)
            outcomes.append(attack(suite, service, calls, seed, _tell))
            _print(outcomes[-1])
            if errors is not None:
                with errors.open("a") as book:
                    book.writelines(f"{line}\n" for line in outcomes[-1].report.errors.lines())
    return int(any(not _is_well(outcome) for outcome in outcomes))


def _tell(done: int) -> None:
    if done and done % _TOLD_EACH == 0:
        print(f"  {done:,}", flush=True)


def _print(outcome: Outcome) -> None:
    by_code: Counter[str] = Counter()
    for (_, code), count in outcome.report.codes.items():
        by_code[code] += count
    print("  " + ", ".join(f"{code} {count:,}" for code, count in by_code.most_common()))
    print(f"  memory grew by {outcome.grown_bytes / 2**20:.1f} MB")
    if not outcome.is_same_process:
        print("  THE PROCESS DIED")
    for fault in outcome.report.faults[:20]:
        print(f"  FAULT {fault}")


def _is_well(outcome: Outcome) -> bool:
    is_flat = outcome.grown_bytes < _MOST_GROWTH_BYTES
    return is_flat and outcome.is_same_process and not outcome.report.faults


if __name__ == "__main__":
    sys.exit(main())
