"""The files of code of a user's own on a worker's disk, and what is called of them."""

import contextlib
import importlib
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from horovod.common.exceptions import HorovodInternalError

from common.artifacts.protocol import ObjectStore
from common.errors import AimassError, FailedPreconditionError
from services.trainer.domain.own_code import OwnCode, read_files

_FRAMES = 3


class OwnCodeError(FailedPreconditionError):
    """Code of a user's own failed: it would fail again."""

    reason = "OWN_CODE_FAILED"


@contextlib.contextmanager
def unpacked(code: OwnCode, store: ObjectStore) -> Iterator[Path]:
    """Yields a folder with the files of code, which Python imports from.

    Raises:
        DataLossError: The files are gone or damaged.
    """
    folder = Path(tempfile.mkdtemp(prefix="aimass-code-"))
    sys.path.insert(0, str(folder))
    try:
        for path, text in read_files(code, store).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        yield folder
    finally:
        sys.path.remove(str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def function_of(code: OwnCode) -> Callable[..., Any]:
    """Returns the function that code names; its files are `unpacked`.

    Raises:
        OwnCodeError: There is none, or importing it fails.
    """
    module, _, name = code.entry.partition(":")
    with told():
        found = getattr(importlib.import_module(module), name, None)
    if not callable(found):
        raise OwnCodeError(f"The module `{module}` has no function `{name}`; name another.")
    function: Callable[..., Any] = found
    return function


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Says where code of a user's own failed.

    Raises:
        OwnCodeError: Something was raised within.
        HorovodInternalError: Another worker is gone; that is nobody's fault.
    """
    try:
        yield
    except (HorovodInternalError, AimassError):
        raise
    except SystemExit as error:
        if error.code not in (None, 0):
            raise OwnCodeError(f"The code ended with exit code {error.code}.") from error
    except Exception as error:  # whatever the code of others may raise
        frames = traceback.extract_tb(error.__traceback__)
        places = [each for each in frames if each.filename != __file__][-_FRAMES:]
        where = " < ".join(f"{Path(each.filename).name}:{each.lineno}" for each in reversed(places))
        raise OwnCodeError(f"{type(error).__name__}: {error} ({where})") from error
