"""Looks at pickled estimators that lay where others may write, before they are opened."""

import io
import pickle
from typing import Any

_LIBRARIES = frozenset({"sklearn", "scipy", "numpy", "pandas", "lightgbm"})
_OWN = "common.models.estimators."
_PLAIN = frozenset(
    {
        *(f"builtins.{name}" for name in ("object", "set", "frozenset", "slice", "complex")),
        *("builtins.bytearray", "builtins.range", "copyreg._reconstructor"),
        *("collections.OrderedDict", "functools.partial"),
    }
)
# What puts objects of these libraries together, or is a part of them; Cython has one of its own
# for each class.
_FUNCTIONS = frozenset(
    {
        *("_reconstruct", "_frombuffer", "scalar", "_ufunc_reconstruct", "newObj", "check_array"),
        *("__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"),
    }
)
_CYTHON = "__pyx_unpickle_"


def check_estimator(content: bytes) -> None:
    """Opens a pickled estimator if it is made of nothing but estimators and numbers.

    Raises:
        ValueError: It is damaged, or holds something else; says what.
    """
    try:
        _Estimators(io.BytesIO(content)).load()
    except Exception as error:  # What a damaged file makes libraries raise has no common root.
        raise ValueError(f"an estimator cannot be opened: {error}") from error


class _Estimators(pickle.Unpickler):
    """Finds classes of estimators alone: what else a pickle names might do anything."""

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" in _PLAIN:
            return super().find_class(module, name)
        if _is_listed(module):
            found = super().find_class(module, name)
            is_usual = isinstance(found, type) or name in _FUNCTIONS or name.startswith(_CYTHON)
            # A module on the list may have imported anything from elsewhere.
            if is_usual and _is_listed(getattr(found, "__module__", "")):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an estimator")


def _is_listed(module: str) -> bool:
    return module.partition(".")[0] in _LIBRARIES or module.startswith(_OWN)
