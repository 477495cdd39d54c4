"""The trainer's benchmark: `make bench NAME=trainer`, about ten minutes."""

from tests.benchmarks.harness import publish, say
from tests.benchmarks.trainer import faults, memory, speed, throughput
from tests.benchmarks.trainer.bench import opened


def main() -> None:
    """Measures everything, prints the table, writes the file."""
    say("Starting the suite")
    with opened() as bench:
        start = speed.start(bench)
        steps = [*throughput.throughput(bench), *throughput.commits(bench)]
        large = memory.memory(bench)
        training = speed.training(bench)
        accuracy = speed.accuracy(bench)
        recovery, notes = faults.recovery(bench)
    measures = [*steps, *large, *training, *accuracy, *start, *recovery]
    publish("trainer", measures, [*speed.NOTES, *throughput.NOTES, *memory.NOTES, *notes])


if __name__ == "__main__":
    main()
