"""Which variables of the environment are secret."""

import re

# Not PWD alone, which is the working directory.
_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|_PWD|ACCESS_KEY|API_KEY|PRIVATE_KEY|CREDENTIAL|HEADERS",
    re.IGNORECASE,
)


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret itself, as opposed to naming a file of one."""
    names_a_file = name.upper().endswith(("_FILE", "_DIR"))
    return not names_a_file and _SECRET_NAME.search(name) is not None
