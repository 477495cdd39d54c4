"""Fitted detectors as arrays and plain configuration: what is kept needs no pickle."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from services.outlier import domain

Arrays = dict[str, npt.NDArray[np.generic]]
Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
T = TypeVar("T")

_PACKAGE = domain.__name__
_ARRAY, _CLASS = "array", "class"
_MOST_DEPTH = 32


class NotKeptError(ValueError):
    """A fitted detector holds something that cannot be kept. Its text is for users."""


class DamagedError(ValueError):
    """What was kept is not what `take_apart` gave."""


def take_apart(fitted: object) -> tuple[Arrays, Plain]:
    """Returns the arrays of a fitted part, by path, and all the rest as plain values.

    Args:
        fitted: A frozen dataclass of arrays, numbers, texts, truth values, None, tuples of these,
            and other such dataclasses of this package.

    Raises:
        NotKeptError: It holds something else; names it.
    """
    arrays: Arrays = {}
    return arrays, _plain(fitted, "detector", arrays)


def put_together(arrays: Mapping[str, npt.NDArray[np.generic]], plain: Plain, kind: type[T]) -> T:
    """Returns the fitted part that was taken apart.

    Args:
        arrays: Its arrays.
        plain: The rest.
        kind: Its class.

    Raises:
        DamagedError: They do not fit together, or make another class.
    """
    try:
        found = _value(plain, arrays, 0)
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"the detector cannot be put together: {error!r}") from error
    if not isinstance(found, kind):
        raise DamagedError(f"the file holds {type(found).__name__}, not {kind.__name__}")
    return found


def _plain(value: object, path: str, arrays: Arrays) -> Plain:
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            raise NotKeptError(f"{path} is an array of {value.dtype}, which cannot be kept")
        arrays[path] = np.ascontiguousarray(value)
        return {_ARRAY: path}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return [_plain(each, f"{path}.{index}", arrays) for index, each in enumerate(value)]
    name = _name(type(value))
    if name not in _kept_classes():
        raise NotKeptError(
            f"{path} is a {type(value).__name__}, which cannot be kept without pickle; scan with "
            "it without keeping it, or take another detector"
        )
    fields = dataclasses.fields(value)  # type: ignore[arg-type]
    parts: dict[str, Plain] = {
        each.name: _plain(getattr(value, each.name), f"{path}.{each.name}", arrays)
        for each in fields
    }
    return {_CLASS: name, **parts}


def _value(plain: Plain, arrays: Mapping[str, npt.NDArray[np.generic]], depth: int) -> Any:
    if depth > _MOST_DEPTH:
        raise DamagedError("the detector is nested too deeply")
    if isinstance(plain, list):
        return tuple(_value(each, arrays, depth + 1) for each in plain)
    if not isinstance(plain, dict):
        return plain
    if _ARRAY in plain:
        return arrays[str(plain[_ARRAY])]
    kind = _kept_classes()[str(plain[_CLASS])]
    parts = {name: _value(each, arrays, depth + 1) for name, each in plain.items()}
    del parts[_CLASS]
    return kind(**parts)


def _name(kind: type) -> str:
    return f"{kind.__module__.removeprefix(f'{_PACKAGE}.')}.{kind.__qualname__}"


@cache
def _kept_classes() -> dict[str, type]:
    """Returns the dataclasses of this package: no other class is ever made from a file."""
    return {_name(kind): kind for kind in _dataclasses()}


def _dataclasses() -> Iterator[type]:
    for found in pkgutil.walk_packages(domain.__path__, f"{_PACKAGE}."):
        for kind in vars(importlib.import_module(found.name)).values():
            is_class = isinstance(kind, type) and dataclasses.is_dataclass(kind)
            if is_class and kind.__module__ == found.name:
                yield kind
