"""A command at stubs that answer what a test says."""

import io
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from common.cli.context import CliContext, make_console
from common.local.home import SuiteHome


@pytest.fixture
def cli(tmp_path: Path, suite: MagicMock) -> CliContext:
    """A command at the suite that a module's own fixture makes, whose words are kept."""
    context = CliContext(SuiteHome(tmp_path), console=make_console(io.StringIO()))
    context.clients = suite
    return context
