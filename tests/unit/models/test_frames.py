"""What fitted pipelines tell of the columns they take."""

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from common.models.estimators.chain import Chain
from common.models.estimators.side_by_side import SideBySide
from common.models.estimators.table_codes import TableCodes
from common.models.estimators.text_columns import TextColumns
from common.models.estimators.text_terms import TextTerms
from common.models.frames import FrameColumn, columns_of

CITIES = pd.DataFrame({"city": ["rome", "paris", "rome"]})


@pytest.mark.parametrize("nothing", ["passthrough", None])
def test_a_step_that_is_left_out_hides_nothing(nothing: str | None) -> None:
    """A search may switch a step off: the encoder behind it still tells what it knows."""
    steps = [("scale", nothing), ("encode", OneHotEncoder()), ("model", LinearRegression())]
    pipeline = Pipeline(steps).fit(CITIES, [1, 2, 3])
    assert columns_of(pipeline, ["city"]) == (FrameColumn("city", "object", ("paris", "rome")),)


def test_transformers_of_our_own_tell_what_they_know() -> None:
    """Levels of categories and words of texts, wherever the column is; numbers need none."""
    frame = CITIES.assign(age=[1.0, 2.0, 3.0], note=["old town", "old bridge", "river"])
    table = Chain([TableCodes(["age"], ["city"])])
    texts = TextColumns(["note"], [TextTerms(least=1)], components=2)
    steps = [("prepare", SideBySide([table, texts])), ("model", LinearRegression())]
    pipeline = Pipeline(steps).fit(frame, [1, 2, 3])
    assert columns_of(pipeline, list(frame)) == (
        FrameColumn("city", "object", ("paris", "rome")),
        FrameColumn("age", "float64"),
        FrameColumn("note", "object", ("bridge", "old", "river", "town")),
    )
