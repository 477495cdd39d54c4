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


def compiled_freely(function: Function) -> Function:
    """Returns the same, quicker: sums add up in any order, and dividing by 0 raises nothing."""
    liberties = {"reassoc", "nsz", "contract"}
    try:
        made = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=liberties)(function)
    except RuntimeError:  # no folder to keep it in may be written to
        made = numba.njit(nogil=True, error_model="numpy", fastmath=liberties)(function)
    return cast(Function, made)
