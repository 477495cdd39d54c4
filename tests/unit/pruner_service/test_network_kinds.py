"""Every kind of network for tables and texts can be made smaller, as a package of its own."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from aimass.pruner.v1 import pruner_pb2
from common.models.inputs import inputs_of_rows
from common.models.onnx_model import OnnxModel
from common.models.preprocessing import TOKENIZER, preprocessing_of
from common.models.sample_rows import SampleRows
from common.testing.datasets import Array, text_array
from services.pruner.convert import known_data, known_model, specification_from_proto
from services.pruner.domain.front import Gain
from services.pruner.domain.networks import Pace
from services.pruner.domain.resolution import resolve_against
from services.pruner.domain.specification import FineTuning
from services.pruner.loading import load
from services.pruner.networks import Aim, Retraining, network_variants
from tests.support.training import Desk, split_parts

pytestmark = pytest.mark.slow

ROWS = 400
SMALL = {
    "residual_mlp": {"width": 16, "inner_widths": [32]},
    "ft_transformer": {"width": 16, "head_width": 4, "blocks": [{}]},
    "embedding_bag": {"width": 16, "pairs": 50, "head_widths": [16]},
    "text_transformer": {"width": 16, "head_width": 4, "blocks": [{"inner_width": 256}]},
}


def columns(kind: str) -> dict[str, Array]:
    """Returns a number, a category and, where the kind takes one, a text."""
    generator = np.random.default_rng(0)
    number = generator.normal(size=ROWS)
    found: dict[str, Array] = {
        "number": number,
        "city": generator.choice(np.array(["a", "b"], object), ROWS),
    }
    if kind in ("embedding_bag", "text_transformer"):
        words = np.where(number > 0, "warm and sunny", "cold and dark")
        found["note"] = text_array([str(each) for each in words])
    return {**found, "label": np.where(number > 0, "big", "small").astype(object)}


@pytest.mark.parametrize("kind", SMALL)
def test_a_network_becomes_smaller_with_all_that_its_package_needs(
    tmp_path: Path, kind: str
) -> None:
    """Protects users of pruned packages: raw columns go in, and the twin says the same."""
    desk = Desk(tmp_path)
    given = columns(kind)
    data = desk.dataset(given, split_parts(ROWS, test=0.2), "label")
    # The rows of a vocabulary stay, so that it must not be most of the network.
    text = {"text": {"vocabulary_size": 300, "max_length": 16}} if "note" in given else {}
    training = desk.job(data, {"network": {kind: SMALL[kind]}, "epochs": 4, **text})
    desk.train(training)
    version = desk.package(training)
    spec = pruner_pb2.PruningSpec(model_version=version.name, dataset_version=data.name)
    asked = specification_from_proto(spec)
    resolved = resolve_against(asked, known_model(version), known_data(data)).specification
    loaded = load(resolved, version, data, desk.store, lambda: None)
    aim, pace = Aim(Gain.SIZE, 32), Pace(20.0, 0, lambda: None, lambda _: None)
    variants = network_variants(
        loaded.built, loaded.learned, aim, Retraining(FineTuning(epochs=1)), pace
    )
    [(made, built)] = islice(variants, 1)
    assert sum(each.numel() for each in made.state.values()) < version.parameter_count
    assert preprocessing_of(lambda role: built.files[role]) == training.preprocessing
    assert (TOKENIZER in built.files) == (training.preprocessing.text is not None)
    model = built.open()
    assert isinstance(model, OnnxModel)
    few: SampleRows = loaded.judging.rows.take(np.arange(8))
    (probabilities,) = model.predict(inputs_of_rows(model, few)).values()
    assert probabilities.shape == (8, 2)
