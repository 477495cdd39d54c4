"""Makes the secrets of a deployment once, as files: `python -m deploy.secret_files FOLDER`.

The folder then holds `tokens.json`, which the services accept, and folders with a file for each
setting that is secret: the token of people (`admin`), of services and of agents, the store's keys.
"""

import sys
from pathlib import Path

from common.local.home import SuiteHome

# Who carries which token of `tokens.json`; `local` is for people.
TOKEN_FOLDERS = {"local": "admin", "service": "service", "agent": "agent"}


def make_secrets(folder: Path) -> None:
    """Makes what is missing, for the folder's owner only; what exists stays.

    Args:
        folder: Where to put the files.
    """
    home = SuiteHome(folder)
    home.create()
    for subject, token in home.ensure_tokens().items():
        _write(folder / TOKEN_FOLDERS[subject], aimass_token=token)
    access_key, secret_key = home.ensure_store_credentials()
    _write(folder / "store", aimass_s3_access_key=access_key, aimass_s3_secret_key=secret_key)


def _write(folder: Path, **values: str) -> None:
    folder.mkdir(exist_ok=True, mode=0o700)
    for name, value in values.items():
        SuiteHome(folder).write_private(name, value)


if __name__ == "__main__":
    make_secrets(Path(sys.argv[1]))
