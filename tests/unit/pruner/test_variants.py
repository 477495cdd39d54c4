"""A model as it is kept and opened."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from common.models.inputs import inputs_of_rows
from common.models.packaging import packaged
from common.models.sample_rows import SampleRows
from common.models.skops_model import SkopsModel
from services.pruner.domain.methods import ModelFormat
from services.pruner.domain.variants import SKOPS, Built
from tests.support.pruning import table


def kept(scale: float) -> Built:
    frame, truth = table()
    package = packaged(LogisticRegression(C=scale).fit(frame, truth), frame)
    return Built(ModelFormat.SKOPS, {SKOPS: package.content}, package.signature)


def test_two_models_are_opened_once_each() -> None:
    """Protects the time that a pruning is given: a large forest takes seconds to open."""
    original, variant = kept(1.0), kept(0.001)
    opened = original.open()
    assert original.open() is opened
    assert variant.open() is not opened
    assert original.open() is opened, "beside a variant the original stays open"
    rows = SampleRows({name: values.to_numpy() for name, values in table()[0].items()})
    [told] = opened.predict(inputs_of_rows(opened, rows)).values()
    [other] = variant.open().predict(inputs_of_rows(variant.open(), rows)).values()
    assert isinstance(opened, SkopsModel) and not np.array_equal(told, other)
