"""The service's page."""

import re
from pathlib import Path

import pytest

from services.outlier.domain.detectors.registry import DETECTORS

PAGE = (Path(__file__).parents[3] / "services/outlier/README.md").read_text()


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """What the page says to type finds the row that it says it finds."""
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    exec(example, {})
    assert capsys.readouterr().out == "17 True\n"


def test_every_detector_is_on_the_page() -> None:
    """A detector that nobody reads of is not used."""
    table = PAGE[PAGE.index("| Name |") : PAGE.index("k-means divides")]
    assert set(re.findall(r"`(\w+)`", table)) == set(DETECTORS)
