"""What fitted pipelines tell of the columns they take."""

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from common.models.frames import FrameColumn, columns_of

CITIES = pd.DataFrame({"city": ["rome", "paris", "rome"]})


@pytest.mark.parametrize("nothing", ["passthrough", None])
def test_a_step_that_is_left_out_hides_nothing(nothing: str | None) -> None:
    """A search may switch a step off: the encoder behind it still tells what it knows."""
    steps = [("scale", nothing), ("encode", OneHotEncoder()), ("model", LinearRegression())]
    pipeline = Pipeline(steps).fit(CITIES, [1, 2, 3])
    assert columns_of(pipeline, ["city"]) == (FrameColumn("city", "object", ("paris", "rome")),)
