"""Networks that were trained elsewhere, as estimators over data frames."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from common.models.estimators.frame_values import FrameValues, text_of
from common.models.estimators.packing import Packed
from common.models.estimators.picture_cells import pictures_of
from common.models.onnx_session import onnx_session
from common.models.preprocessing import TextColumns

if TYPE_CHECKING:
    import onnxruntime

Floats = npt.NDArray[np.float64]

_AT_ONCE = 512
_TRUTHS = {0.0: "false", 1.0: "true"}


class _OnnxNetwork(Packed, BaseEstimator):
    """What networks of classes and of values share.

    They take `numeric` float64 with NaN for missing, `categories` int64 codes (labels from 1, 0 for
    others), `image` uint8 and `tokens` int64, each where the network has such an input.

    Attributes:
        content_: The ONNX file.
        numbers_: Names of the columns of `numeric`, in order.
        categories_: Names of the columns of `categories`, in order.
        labels_: Of each of these the labels by code, from 1.
        picture_: Name of the column of pictures; empty for none.
        shape_: Channels, height, width of a picture.
        text_: Columns of texts with their tokenizer, JSON of `TextColumns`; empty for none.
        feature_names_in_: Names of all columns of the data frames, others included.
        n_features_in_: Their number.
    """

    packed = ("numbers_", "categories_", "labels_")
    derived = ("_session", "_text")

    content_: bytes
    numbers_: list[str]
    categories_: list[str]
    labels_: list[list[str]]
    picture_: str
    shape_: list[int]
    text_: bytes = b""  # of models that are older than this
    feature_names_in_: npt.NDArray[np.object_]
    n_features_in_: int

    def fit(self, features: Any, truth: Any) -> Any:
        """Raises TypeError: it was trained elsewhere."""
        raise TypeError(f"{type(self).__name__} was trained elsewhere: make one with `of`.")

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `of` made it."""
        return hasattr(self, "content_")

    def known_values(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Yields positions of columns that are no numbers, with values of them."""
        positions = {name: place for place, name in enumerate(self.feature_names_in_)}
        for name, labels in zip(self.categories_, self.labels_, strict=True):
            if set(labels) - set(_TRUTHS.values()):  # Truth values are numbers in data frames.
                yield positions[name], labels
        if self.picture_:
            yield positions[self.picture_], [np.zeros(tuple(self.shape_), np.uint8)]
        for name in self._opened_text().names if self.text_ else ():
            yield positions[name], ["word"]

    def _hold(
        self,
        content: bytes,
        names: Sequence[str],
        numbers: Sequence[str],
        categories: Mapping[str, Sequence[str]],
        picture: tuple[str, Sequence[int]] | None,
        text: str,
    ) -> None:
        self.content_ = content
        self.numbers_ = list(numbers)
        self.categories_ = list(categories)
        self.labels_ = [list(each) for each in categories.values()]
        self.picture_, shape = picture or ("", ())
        self.shape_ = [int(side) for side in shape]
        self.text_ = text.encode()
        self.feature_names_in_ = np.array(list(names), dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)

    def _outputs(self, features: pd.DataFrame) -> Floats:
        """Returns what the network gives, float64 (rows, outputs)."""
        session = self._opened()
        width = session.get_outputs()[0].shape[1]
        parts = [np.zeros((0, width if isinstance(width, int) else 1))]
        for start in range(0, len(features), _AT_ONCE):
            inputs = self._inputs(features.iloc[start : start + _AT_ONCE])
            parts.append(np.asarray(session.run(None, inputs)[0], np.float64))
        return np.concatenate([each.reshape(len(each), parts[-1].shape[1]) for each in parts])

    def _opened(self) -> "onnxruntime.InferenceSession":
        if "_session" not in self.__dict__:
            self._session = onnx_session(self.content_)
        return self._session

    def _inputs(self, rows: pd.DataFrame) -> dict[str, npt.NDArray[np.generic]]:
        inputs: dict[str, npt.NDArray[np.generic]] = {}
        if self.numbers_:
            values = FrameValues(rows, self.numbers_)
            inputs["numeric"] = np.ascontiguousarray(values.numbers(range(len(self.numbers_))))
        if self.categories_:
            inputs["categories"] = self._codes(rows)
        if self.picture_:
            inputs["image"] = pictures_of(rows[self.picture_].tolist(), self.shape_)
        if self.text_:
            inputs["tokens"] = self._tokens(rows)
        return inputs

    def _tokens(self, rows: pd.DataFrame) -> npt.NDArray[np.int64]:
        # Here: whoever has no texts does without the library.
        from common.models.tokenization import tokenizer_of  # noqa: PLC0415

        text = self._opened_text()
        values = FrameValues(rows, text.names)
        found = np.empty((len(text.names), len(rows)), object)
        for place in range(len(text.names)):
            found[place] = [text_of(each) for each in values.texts(place)]
        return tokenizer_of(text).tokens(list(found))

    def _opened_text(self) -> TextColumns:
        if "_text" not in self.__dict__:
            self._text = TextColumns.model_validate_json(self.text_)
        return self._text

    def _codes(self, rows: pd.DataFrame) -> npt.NDArray[np.int64]:
        values = FrameValues(rows, self.categories_)
        found = np.zeros((len(rows), len(self.categories_)), np.int64)
        for place, labels in enumerate(self.labels_):
            codes = {label: code for code, label in enumerate(labels, 1)}
            is_truth = not set(labels) - set(_TRUTHS.values())
            for row, value in enumerate(values.texts(place)):
                label = _TRUTHS.get(value) if is_truth and value in _TRUTHS else text_of(value)
                found[row, place] = codes.get(label or "", 0)
        return found


class OnnxClassifier(ClassifierMixin, _OnnxNetwork):
    """A network that tells classes apart.

    Attributes:
        classes_: Positions of the classes, 0 to the number less 1.
        places_: The output of the network for each class, -1 for one that it does not know.
    """

    classes_: npt.NDArray[np.int64]
    places_: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls,
        content: bytes,
        names: Sequence[str],
        known: Sequence[str],
        classes: Sequence[str],
        *,
        numbers: Sequence[str] = (),
        categories: Mapping[str, Sequence[str]] | None = None,
        picture: tuple[str, Sequence[int]] | None = None,
        text: str = "",
    ) -> "OnnxClassifier":
        """Returns a classifier of a network with probabilities.

        Args:
            content: The ONNX file.
            names: Of the data frames' columns, in order.
            known: Labels of the network's outputs.
            classes: Labels of the classes as they are to be numbered.
            numbers: See the class.
            categories: Labels by name of the column.
            picture: Name and shape of the column of pictures.
            text: Columns of texts, JSON of `TextColumns`.
        """
        made = cls()
        made._hold(content, names, numbers, categories or {}, picture, text)
        places = {label: place for place, label in enumerate(known)}
        made.places_ = np.array([places.get(label, -1) for label in classes], np.int64)
        made.classes_ = np.arange(len(classes))
        return made

    def predict_proba(self, features: pd.DataFrame) -> Floats:
        """Returns probabilities, (rows, classes)."""
        outputs = self._outputs(features)
        found = np.where(self.places_ >= 0, outputs[:, np.maximum(self.places_, 0)], 0.0)
        totals = found.sum(axis=1, keepdims=True)
        even = np.full_like(found, 1 / max(found.shape[1], 1))
        return np.where(totals > 0, found / np.maximum(totals, 1e-300), even)

    def predict(self, features: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Returns positions of classes, (rows,)."""
        return np.asarray(self.classes_[self.predict_proba(features).argmax(axis=1)])


class OnnxRegressor(RegressorMixin, _OnnxNetwork):
    """A network that predicts values."""

    @classmethod
    def of(
        cls,
        content: bytes,
        names: Sequence[str],
        *,
        numbers: Sequence[str] = (),
        categories: Mapping[str, Sequence[str]] | None = None,
        picture: tuple[str, Sequence[int]] | None = None,
        text: str = "",
    ) -> "OnnxRegressor":
        """Returns a regressor of a network; see `OnnxClassifier.of`."""
        made = cls()
        made._hold(content, names, numbers, categories or {}, picture, text)
        return made

    def predict(self, features: pd.DataFrame) -> Floats:
        """Returns values, (rows,)."""
        return self._outputs(features)[:, 0]
