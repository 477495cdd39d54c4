"""The outlier service's benchmark: `make bench NAME=outlier [DATA=folder of labelled sets]`."""

from tests.benchmarks.harness import publish, say
from tests.benchmarks.outlier import injected, labelled, service, speed, taught


def main() -> None:
    """Measures everything, prints the table, writes the file."""
    say("Measuring on labelled sets")
    measures = labelled.labelled()
    say("Measuring what labels are good for")
    measures += taught.taught()
    say("Measuring on injected anomalies")
    measures += injected.injected()
    measures += speed.speed()
    measures += service.service()
    publish(
        "outlier",
        measures,
        [*labelled.NOTES, *taught.NOTES, *injected.NOTES, *speed.NOTES, *service.NOTES],
    )


if __name__ == "__main__":
    main()
