"""What models from elsewhere give becomes probabilities or values, whatever its shape."""

import numpy as np
import pytest

from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.models.outputs import (
    are_logits,
    class_outputs,
    label_outputs,
    regression_outputs,
)

CLASSES = ("a", "b", "c")


def test_probabilities_are_taken_as_they_are() -> None:
    given = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]], np.float32)
    found, are_probabilities = class_outputs({"label": np.array([2, 0]), "p": given}, CLASSES)
    np.testing.assert_allclose(found, given)
    assert are_probabilities


def test_logits_go_through_a_softmax() -> None:
    found, _ = class_outputs({"scores": np.array([[0.0, np.log(2), np.log(5)]])}, CLASSES)
    np.testing.assert_allclose(found, [[1 / 8, 2 / 8, 5 / 8]])


def test_large_logits_do_not_overflow() -> None:
    found, _ = class_outputs({"scores": np.array([[1000.0, 0.0, -1000.0]])}, CLASSES)
    np.testing.assert_allclose(found, [[1.0, 0.0, 0.0]])


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_one_column_of_two_classes_is_the_second_ones(shape: tuple[int, ...]) -> None:
    given = np.array([0.1, 0.9, 0.5]).reshape(shape)
    found, _ = class_outputs({"p": given}, ("no", "yes"))
    np.testing.assert_allclose(found, [[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]])


def test_one_column_of_logits_of_two_classes() -> None:
    found, _ = class_outputs({"p": np.array([0.0, 100.0, -100.0])}, ("no", "yes"))
    np.testing.assert_allclose(found[:, 1], [0.5, 1.0, 0.0], atol=1e-12)


@pytest.mark.parametrize("named", [np.array([1, 0, 2]), np.array(["b", "a", "c"], object)])
def test_a_named_class_has_one(named: np.ndarray) -> None:
    found, are_probabilities = class_outputs({"label": named}, CLASSES)
    assert found.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert not are_probabilities


def test_a_score_once_seen_beyond_probabilities_is_none_afterwards() -> None:
    """A few rows alone may look like probabilities."""
    assert are_logits({"p": np.array([0.3, -2.0])}) and not are_logits({"p": np.array([0.3])})
    found, _ = class_outputs({"p": np.array([0.3])}, ("no", "yes"), are_logits=True)
    assert found[0, 1] == pytest.approx(1 / (1 + np.exp(-0.3)))


def test_whole_numbers_of_onnx_are_labels_where_labels_are_numbers() -> None:
    found, _ = class_outputs({"label": np.array([2, 3])}, ("1", "2", "3"), are_positions=False)
    assert found.tolist() == [[0, 1, 0], [0, 0, 1]]
    found, _ = class_outputs({"label": np.array([2, 0])}, CLASSES, are_positions=False)
    assert found.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_a_class_that_is_not_known_has_nothing() -> None:
    found, _ = class_outputs({"label": np.array(["z", "a"], object)}, CLASSES)
    assert found.tolist() == [[0, 0, 0], [1, 0, 0]]


def test_outputs_of_another_shape_are_refused() -> None:
    with pytest.raises(UnusableModelError, match="each of the 3 classes"):
        class_outputs({"x": np.zeros((4, 7))}, CLASSES)


def test_labels_come_as_a_table_or_as_pairs() -> None:
    pairs = {"p0": np.array([[0.9, 0.1]]), "p1": np.array([[0.2, 0.8]])}
    assert label_outputs(pairs)[0].tolist() == [[0.1, 0.8]]
    found, are_probabilities = label_outputs({"prediction": np.array([[0, 1]])})
    assert (found.tolist(), are_probabilities) == ([[0.0, 1.0]], False)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_values_of_a_regression_are_a_column(shape: tuple[int, ...]) -> None:
    assert regression_outputs({"y": np.array([1, 2]).reshape(shape)}).tolist() == [[1.0], [2.0]]
