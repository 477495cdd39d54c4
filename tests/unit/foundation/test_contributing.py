"""CONTRIBUTING.md stays short and true."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = PAGE.split("\n## ")[2:]
_MOST_LINES = 10


def test_recipes_are_short() -> None:
    """Whoever needs more than ten lines to say how something is added should change the code."""
    for recipe in RECIPES:
        title, *lines = filter(None, recipe.splitlines())
        assert len(lines) <= _MOST_LINES, title


def test_recipes_name_files_that_exist() -> None:
    """A page about places is wrong as soon as something moves."""
    named = set(re.findall(r"`(\w+/[\w/.]+)`", PAGE))
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]
