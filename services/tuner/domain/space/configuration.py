"""A point of a search space."""

from collections.abc import Mapping

Setting = float | int | str | bool
Configuration = Mapping[str, Setting]
