"""The catalog's benchmark: `make bench NAME=catalog`."""

from tests.benchmarks.catalog import cancelling, foundation, importing, lists
from tests.benchmarks.harness import publish, say


def main() -> None:
    """Measures everything, prints the table, writes the file."""
    say("Measuring imports")
    measures = importing.importing()
    measures += cancelling.cancelling()
    say("Measuring lists")
    measures += lists.measures()
    say("Measuring the foundation")
    publish(
        "catalog",
        [*measures, *foundation.measures()],
        [*importing.NOTES, *cancelling.NOTES, *lists.NOTES, *foundation.NOTES],
    )


if __name__ == "__main__":
    main()
