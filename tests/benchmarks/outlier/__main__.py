"""The outlier service's benchmark: `make bench NAME=outlier [DATA=folder of labelled sets]`."""

from tests.benchmarks.harness import publish, say
from tests.benchmarks.outlier import injected, labelled, speed


def main() -> None:
    """Measures everything, prints the table, writes the file."""
    say("Measuring on labelled sets")
    measures = labelled.labelled()
    say("Measuring on injected anomalies")
    measures += injected.injected()
    measures += speed.speed()
    publish("outlier", measures, [*labelled.NOTES, *injected.NOTES, *speed.NOTES])


if __name__ == "__main__":
    main()
