"""Which variables of the environment are secret."""

import re
from collections.abc import Mapping

_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|ACCESS_KEY|CREDENTIAL|HEADERS")


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret itself, as opposed to naming a file of one."""
    return not name.endswith(("_FILE", "_DIR")) and _SECRET_NAME.search(name) is not None


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns what a process may see that has no use for secrets."""
    return {name: value for name, value in environment.items() if not is_secret(name)}
