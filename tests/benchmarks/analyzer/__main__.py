"""The analyzer's benchmark: `make bench NAME=analyzer [DATA=folder of the CIFAR-10 sample]`."""

from tests.benchmarks.analyzer import importance, weights, whole
from tests.benchmarks.harness import publish


def main() -> None:
    """Measures everything, prints the table, writes the file."""
    measures = whole.whole() + importance.importance() + weights.weights()
    publish("analyzer", measures, [*whole.NOTES, *importance.NOTES, *weights.NOTES])


if __name__ == "__main__":
    main()
