"""Networks that learned from a model: measured beside it, and opened by all who open networks."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from aimass.catalog.v1 import model_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from common.artifacts.blobs import read_artifact
from common.data.rows import RawRows
from common.models.inputs import inputs_of_rows
from common.models.onnx_model import load_onnx
from common.models.package import load_package
from common.models.sample_rows import SampleRows
from common.models.store import read_preprocessing
from common.networks.specification import from_proto
from common.protobuf import from_plain
from common.records import RecordStore
from services.analyzer.domain.models.torch_package import TorchPackage
from services.pruner import job, publication
from services.pruner import students as students_of_models
from services.pruner.convert import known_data, known_model, run_to_proto, specification_from_proto
from services.pruner.domain.methods import SMALL_NETWORK, SMALLER_GRAPH
from services.pruner.domain.resolution import resolve_against
from services.pruner.domain.students import distilling
from services.pruner.domain.students.distilling import Syllabus
from services.pruner.points import read_version
from services.trainer.domain.origins import TrainedNetwork
from services.trainer.domain.resolution import resolve_against_data
from services.trainer.domain.specification import read_specification
from tests.support.pruning import (
    DATA,
    MODEL,
    NAMES,
    FakeCatalog,
    catalog_with,
    create_run,
    forest,
    owner_of,
    table,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAME = "pruningRuns/p"


@dataclass
class Done:
    """A pruning of a forest.

    Attributes:
        catalog: What it asked.
        points: All that it measured, by name.
    """

    catalog: FakeCatalog
    points: dict[str, pruner_pb2.Point]

    def version(self, point: str) -> model_pb2.ModelVersion:
        """Returns the version that a point would be."""
        version = read_version(self.catalog.store, NAME, point)
        version.name = "models/m/versions/2"
        return version


@pytest.fixture(scope="module")
def done() -> Iterator[Done]:
    """A forest, its students and graphs of the best one; where it runs is scikit-learn itself."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        catalog = catalog_with(forest(200))
        monkeypatch.setattr(job, "ask_catalog", catalog.ask)
        monkeypatch.setattr(publication, "ask_catalog", catalog.ask)
        short = Syllabus(((32, 16), (64, 32)), steps=500, made_rows=5_000)
        learning = partial(distilling.students, syllabus=short)
        monkeypatch.setattr(students_of_models, "students", learning)
        spec = pruner_pb2.PruningSpec(
            model_version=MODEL,
            dataset_version=DATA,
            max_loss=0.1,
            methods=[SMALL_NETWORK, SMALLER_GRAPH],
        )
        spec.budget.FromSeconds(90)
        known = known_model(catalog.model), known_data(catalog.data)
        resolved = resolve_against(specification_from_proto(spec), *known)
        create_run(catalog.store, run_to_proto(resolved).spec, NAME)
        owner = owner_of(catalog.store, NAME)
        job.run_pruning(owner)
        run = RecordStore(catalog.store).get(NAME, pruner_pb2.PruningRun).resource
        assert not run.summary.notes
        content = b"".join(read_artifact(catalog.store, run.points))
        points = pruner_pb2.ListPointsResponse.FromString(content).points
        yield Done(catalog, {each.name: each for each in points})


def students(done: Done) -> list[pruner_pb2.Point]:
    """Returns the points that are networks."""
    return [each for each in done.points.values() if each.method == SMALL_NETWORK]


def test_networks_are_measured_in_onnx_runtime_beside_a_native_original(done: Done) -> None:
    assert [each.name for each in sorted(students(done), key=lambda each: each.size_bytes)] == [
        *("network_32_16", "network_64_32")
    ]
    for each in students(done):
        assert each.latency_gain > 20
        assert each.parent == "original"
        assert each.notes[0].startswith("A network of ")
    assert min(each.loss for each in students(done)) < 0.1


def test_all_who_open_networks_open_them(done: Done, tmp_path: Path) -> None:
    """The vectors are replayed, and the analyzer says of rows what the pruning judged."""
    best = min(students(done), key=lambda each: each.loss)
    version = done.version(best.name)
    loaded = load_package(done.catalog.store, version)
    frame, truth = table()
    raw = RawRows({name: frame[name].to_numpy() for name in NAMES})
    package = TorchPackage(
        from_proto(version.network), loaded.preprocessing, tmp_path, lambda: loaded.network
    )
    outputs = package.predict(raw)
    assert package.outputs == ("no", "yes")
    assert (outputs.argmax(axis=1) == (truth == "yes")).mean() > 0.85
    graph = load_onnx(done.catalog.store, version)
    numbers = {"numeric": np.column_stack([*raw.columns.values()])}
    np.testing.assert_allclose(
        np.asarray(graph.predict(numbers)["probabilities"], np.float64), outputs, atol=1e-5
    )


def test_the_trainer_goes_on_from_them(done: Done) -> None:
    """As parent and as teacher: inputs, classes and widths are those that it makes itself."""
    version = done.version("network_64_32")
    preprocessing = read_preprocessing(version, done.catalog.store)
    trained = TrainedNetwork(version.name, from_proto(version.network), preprocessing)
    asked = {
        "dataset_version": DATA,
        "model": "models/m",
        "features": [*NAMES],
        "network": {"mlp": {"hidden_widths": [64, 32], "activation": "silu"}},
        "parent_model_version": version.name,
    }
    specification = read_specification(from_plain(asked, trainer_pb2.TrainingSpec))
    resolved = resolve_against_data(specification, known_data(done.catalog.data), trained, trained)
    assert resolved.network == trained.network


def test_graphs_of_networks_take_what_the_original_took(done: Done) -> None:
    """Columns by name: nobody would know the codes that networks take."""
    graphs = [each for each in done.points.values() if each.method == SMALLER_GRAPH]
    assert graphs
    frame, _ = table()
    rows = SampleRows({name: frame[name].to_numpy() for name in NAMES})
    for each in graphs:
        version = done.version(each.name)
        assert {one.name for one in version.signature.inputs} <= {*NAMES}
        assert not each.dropped_columns
        graph = load_onnx(done.catalog.store, version)
        graph.predict(inputs_of_rows(graph, rows))
