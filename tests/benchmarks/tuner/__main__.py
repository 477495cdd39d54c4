"""The tuner's benchmark: `make bench NAME=tuner [DATA=folder of tables] [FULL=1]`."""

from tests.benchmarks.harness import publish
from tests.benchmarks.tuner import (
    images,
    labels,
    outlier_weights,
    quantiles,
    study_service,
    texts,
)
from tests.benchmarks.tuner.forecasts import forecasts
from tests.benchmarks.tuner.study import NOTES, study
from tests.benchmarks.tuner.tables import tables


def main() -> None:
    """Measures everything, prints the table, writes the file."""
    measures, notes = tables()
    told, words = forecasts()
    measures += told
    measures += [*study(), *study_service.study_service(), *texts.texts(), *images.images()]
    measures += [*labels.labels(), *quantiles.quantiles(), *outlier_weights.outlier_weights()]
    notes += [*words, *NOTES]
    for each in (study_service, texts, images, labels, quantiles, outlier_weights):
        notes += each.NOTES
    publish("tuner", measures, notes)


if __name__ == "__main__":
    main()
