"""How long a training stands still when one of two workers dies or freezes."""

import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.benchmarks.harness import Aim, Measure, is_quick, middle, say
from tests.benchmarks.trainer import ours, theirs
from tests.benchmarks.trainer.bench import Bench

HANG_SECONDS = 45.0
"""So long is waited for the next step; Gloo's own time limit is 30 s."""
KINDS = (signal.SIGKILL, signal.SIGSTOP)


@dataclass(frozen=True)
class Block:
    """Faults of each contender between two changes of turn.

    Attributes:
        ours: Of each kind, all in one run.
        kills: SIGKILLs of Horovod's elastic mode, a job each.
        freezes: SIGSTOPs of Horovod's elastic mode, a job each.
    """

    ours: int
    kills: int
    freezes: int


FULL = (Block(10, 2, 1), Block(10, 2, 1), Block(10, 2, 0), Block(10, 2, 0), Block(10, 2, 0))
QUICK = (Block(2, 1, 0),)


@dataclass
class Recoveries:
    """Seconds from each fault to the next finished step, None where there was none in time.

    Attributes:
        seconds: By kind of fault.
        short: Recoveries that went on with fewer workers at first.
    """

    seconds: dict[signal.Signals, list[float | None]] = field(
        default_factory=lambda: {kind: [] for kind in KINDS}
    )
    short: int = 0

    @property
    def hangs(self) -> int:
        """Faults after which there was no step in time."""
        return sum(values.count(None) for values in self.seconds.values())

    @property
    def count(self) -> int:
        """Faults in all."""
        return sum(len(values) for values in self.seconds.values())


def recovery(bench: Bench) -> tuple[list[Measure], list[str]]:
    """Measures the time from a fault to the next finished step. Returns measures and notes."""
    say("Faults")
    mine, others = Recoveries(), Recoveries()
    for block in QUICK if is_quick() else FULL:
        _strike_ours(bench, mine, block.ours)
        for kind, count in zip(KINDS, (block.kills, block.freezes), strict=True):
            _say_newest("ours", kind, mine, block.ours)
            _strike_theirs(bench, others, kind, count)
            _say_newest("elastic", kind, others, count)
    measures = [
        _of_kind(kind, mine, others, what) for kind in KINDS for what in ("median", "worst")
    ]
    hangs = f"Faults after which no step came within {HANG_SECONDS:.0f} s"
    measures.append(Measure.of(hangs, mine.hangs, others.hangs, Aim(at_most=0)))
    return measures, _notes(mine, others)


def _strike_ours(bench: Bench, found: Recoveries, count: int) -> None:
    """Strikes one run `count` times with each kind; a run that hangs is left."""
    chance = random.Random(found.count)
    kinds = list(KINDS) * count
    chance.shuffle(kinds)
    spec = ours.specification(bench.version, ours.ENDLESS_EPOCHS)
    with ours.followed(bench.suite, spec) as run:
        run.first_step()
        for kind in kinds:
            # Faults come at any point of a step, an epoch, a commit.
            time.sleep(chance.uniform(0.3, 0.7))
            sent_at = ours.strike(bench.suite, kind, victim=chance.randrange(2))
            try:
                event = run.wait_for(ours.is_recovery, HANG_SECONDS)
            except TimeoutError:
                found.seconds[kind].append(None)
                return
            found.seconds[kind].append(ours.time_of(event) - sent_at)
            if event.membership_change.workers < 2:
                found.short += 1
                run.wait_for(lambda event: event.membership_change.workers == 2, HANG_SECONDS)


def _strike_theirs(bench: Bench, found: Recoveries, kind: signal.Signals, count: int) -> None:
    for _ in range(count):
        ours.settle(bench.suite)
        rank = len(found.seconds[kind]) % 2
        with bench.others.elastic(bench.workload) as contender:
            found.seconds[kind].append(theirs.recovery(contender, kind, rank, HANG_SECONDS))


def _of_kind(kind: signal.Signals, mine: Recoveries, others: Recoveries, what: str) -> Measure:
    name = f"{kind.name} of one of two workers to the next step, {what}, s (theirs: elastic mode)"
    choose, limit = (middle, 0.5) if what == "median" else (_worst, 1.5)
    return Measure.of(
        name, choose(mine.seconds[kind]), choose(others.seconds[kind]), Aim(at_most=limit)
    )


def _worst(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return max(present) if present and len(present) == len(values) else None


def _say_newest(who: str, kind: signal.Signals, found: Recoveries, count: int) -> None:
    newest = found.seconds[kind][-count:] if count else []
    if newest:
        texts = ("hung" if value is None else f"{value:.2f}" for value in newest)
        say(f"  {who} {kind.name}: {' '.join(texts)}")


def _notes(mine: Recoveries, others: Recoveries) -> list[str]:
    kill, freeze = KINDS
    return [
        "Faults, ours: from the wall-clock time of the signal to the time of the event that tells "
        "of the new world, which the coordinator sends once it hears of that world's first "
        f"finished step; {len(mine.seconds[kill])} SIGKILLs and {len(mine.seconds[freeze])} "
        "SIGSTOPs at random moments, "
        f"{mine.short} of them answered with one worker first, the others with two at once.",
        "Faults, theirs: `horovodrun` elastic, two local host names, a job for each fault "
        f"({len(others.seconds[kill])} SIGKILLs, {len(others.seconds[freeze])} SIGSTOPs), from the "
        "signal to the survivor's first finished step alone: it never uses the host again.",
    ]
