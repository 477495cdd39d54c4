"""The pruner's benchmark: `make bench NAME=pruner [DATA=folder of pictures, tables] [FULL=1]`."""

from tests.benchmarks.harness import publish, say
from tests.benchmarks.pruner import features, forests, networks


def main() -> None:
    """Measures everything, prints the table, writes the file."""
    say("Columns that are needed")
    measures = features.features()
    say("Forests and boosting")
    measures += forests.forests()
    say("Networks")
    measures += networks.networks()
    publish("pruner", measures, [*features.NOTES, *forests.NOTES, *networks.NOTES])


if __name__ == "__main__":
    main()
