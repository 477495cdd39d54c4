"""The pruner's benchmark: `make bench NAME=pruner [DATA=folder] [FULL=1]`."""

from tests.benchmarks.harness import publish, say
from tests.benchmarks.pruner import architectures, features, forests, networks, students


def main() -> None:
    """Measures everything, prints the table, writes the file."""
    say("Columns that are needed")
    measures = features.features()
    say("Forests and boosting")
    measures += forests.forests()
    say("Small networks")
    measures += students.students_of_models()
    say("Kinds of networks")
    measures += architectures.architectures()
    say("Networks")
    measures += networks.networks()
    parts = (features, forests, students, architectures, networks)
    publish("pruner", measures, [note for each in parts for note in each.NOTES])


if __name__ == "__main__":
    main()
