"""Loops over rows that numpy cannot do at once, compiled. Imports numba."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Returns a function compiled on its first call, and kept on disk where that is possible."""
    try:
        return cast(Function, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # no folder to keep it in may be written to
        return cast(Function, numba.njit(nogil=True)(function))
