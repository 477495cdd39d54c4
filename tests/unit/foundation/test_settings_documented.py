"""The table of settings is complete and true."""

import importlib
import re
from pathlib import Path

from common.config import SECRETS_DIR_VARIABLE, Settings
from common.testing.certificates import environment
from common.tls import TlsFiles

ROOT = Path(__file__).parents[3]
MODULES = [
    "common.config",
    "common.artifacts.settings",
    "common.maintenance.sweeping",
    "common.runs.job",
    "common.runs.lease",
    "services.analyzer.config",
    "services.catalog.config",
    "services.outlier.config",
    "services.pruner.config",
    "services.trainer.config",
    "services.trainer.agent.settings",
    "services.trainer.coordinator.settings",
    "services.trainer.worker.settings",
    "services.tuner.config",
]
# Set by the suite for its own processes; nobody sets them by hand.
INTERNAL = {"AIMASS_SUITE"}
ROW = re.compile(r"^\| `(AIMASS_\w+)` \|", re.MULTILINE)


def declared(kind: type[Settings]) -> set[str]:
    """Returns the variables that a class of settings and its subclasses read."""
    prefix = kind.model_config.get("env_prefix", "")
    own = {f"{prefix}{name}".upper() for name in kind.model_fields}
    return own.union(*(declared(each) for each in kind.__subclasses__()))


def test_every_setting_is_in_the_readme() -> None:
    """A knob that nobody can find is no knob."""
    for module in MODULES:
        importlib.import_module(module)
    documented = set(ROW.findall((ROOT / "SETTINGS.md").read_text()))
    missing = declared(Settings) - INTERNAL - documented
    assert not missing
    by_hand = {"AIMASS_HOME", "AIMASS_CACHE", "AIMASS_MINIO_BINARY", SECRETS_DIR_VARIABLE}
    by_hand |= set(environment(TlsFiles()))  # read without pydantic, which clients lack
    assert documented - declared(Settings) <= by_hand, "documented, but nothing reads it"
