from types import MappingProxyType

import numpy as np
import pytest
import torch

from common.models.preprocessing import (
    CategoricalColumn,
    ImageColumn,
    NumericColumn,
    Preprocessing,
    Target,
)
from common.models.transform import ColumnTransform, code_table
from common.models.twin import Twin, export_twin, output_name, run_onnx, signature
from common.networks.modules import build_network
from common.networks.specification import NetworkSpecification, complete

CLASSES = Target(name="y", task="classification", classes=("a", "b", "c"))
TABLE = Preprocessing(
    numeric=(
        NumericColumn(name="n", mean=1e9, scale=2.0),
        NumericColumn(name="m", mean=0, scale=1),
    ),
    categorical=(CategoricalColumn(name="c", labels=("red", "blue"), size=4),),
    target=Target(name="y", task="regression", mean=100.0, scale=10.0),
)
IMAGE = Preprocessing(
    image=ImageColumn(name="i", shape=(2, 9, 9), mean=(0.1, 0.4), scale=(0.3, 1.0)), target=CLASSES
)
NO_LABELS = MappingProxyType[str, tuple[str, ...]]({})


def test_numbers_are_standardised_and_missing_ones_become_the_mean() -> None:
    """Protects the meaning of a missing value, and precision where the mean is large."""
    columns = {"n": np.array([1e9 + 1, np.nan]), "m": np.array([3.0, -1.0])}
    found = ColumnTransform(
        TABLE.model_copy(update={"categorical": ()}), columns, NO_LABELS
    ).numeric(slice(0, 2))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[0.5, 3.0], [0.0, -1.0]])


def test_categories_map_by_label_whatever_their_code_in_the_data() -> None:
    """Protects models from data sets whose labels are others or lie elsewhere."""
    table = code_table(("blue", "green", "red"), ("red", "blue"), first=1, unknown=0)
    codes = np.array([0, 1, 2, -1])
    np.testing.assert_array_equal(table[codes], [2, 0, 1, 0])


def test_images_are_standardised_by_channel_in_channels_last_order() -> None:
    """Protects scale and memory order: convolutions take half the time in this one."""
    raw = np.random.default_rng(0).integers(0, 256, (4, 2, 9, 9), dtype=np.uint8)
    found = ColumnTransform(IMAGE, {"i": raw}, NO_LABELS).image(np.array([2, 0]))
    mean, scale = np.array([0.1, 0.4]), np.array([0.3, 1.0])
    expected = (raw[[2, 0]] / 255 - mean[:, None, None]) / scale[:, None, None]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert torch.from_numpy(found).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("preprocessing", "kind"),
    [
        (TABLE, "mlp"),
        (TABLE, "linear"),
        (TABLE, "residual_mlp"),
        (TABLE, "ft_transformer"),
        (IMAGE, "cnn"),
        (IMAGE, "resnet"),
    ],
)
def test_the_twin_takes_raw_values_of_any_number_of_rows(
    preprocessing: Preprocessing, kind: str
) -> None:
    """Protects users of the ONNX file: it contains all scaling, as its signature says."""
    specification = NetworkSpecification.model_validate({kind: {}})
    outputs = preprocessing.target.outputs
    network = build_network(complete(specification, preprocessing.network_input, outputs, "n"))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    generator = np.random.default_rng(0)
    numbers = generator.normal((1e9, 0), (2, 1), (5, 2))
    numbers[1, 0] = np.nan
    raw: dict[str, np.ndarray] = {
        "numeric": numbers,
        "categories": generator.integers(0, 4, (5, 1)),
        "image": generator.integers(0, 256, (5, 2, 9, 9), dtype=np.uint8),
    }
    samples = {name: torch.from_numpy(raw[name]) for name in preprocessing.network_input.names}
    name = output_name(preprocessing)
    twin = export_twin(Twin(network, preprocessing), samples, name)
    assert twin.max_error < 1e-4
    for rows in (1, 5):
        inputs = {key: value[:rows].numpy() for key, value in samples.items()}
        found = run_onnx(twin.content, inputs)
        np.testing.assert_allclose(found, twin.outputs[:rows], rtol=1e-4, atol=1e-4)
    described = signature(preprocessing)
    assert [item.name for item in described.inputs] == list(samples)
    assert [item.dtype for item in described.inputs] == [
        str(value.numpy().dtype) for value in samples.values()
    ]
    assert (described.outputs[0].name, list(described.outputs[0].shape)) == (name, [-1, outputs])


def test_the_twin_speaks_in_the_targets_units() -> None:
    """Protects regression: a network that says 0 means the mean."""
    specification = NetworkSpecification.model_validate({"linear": {}})
    network = build_network(complete(specification, TABLE.network_input, 1, "n"))
    found = Twin(network, TABLE)(torch.zeros(2, 2).double(), torch.zeros(2, 1, dtype=torch.int64))
    assert found.tolist() == [[100.0], [100.0]]


def test_preprocessing_survives_json_exactly() -> None:
    """Protects numbers: what was fitted is what is applied."""
    odd = NumericColumn(name="n", mean=0.1 + 0.2, scale=1 / 3)
    fitted = TABLE.model_copy(update={"numeric": (odd,)})
    assert Preprocessing.model_validate_json(fitted.model_dump_json(exclude_none=True)) == fitted
