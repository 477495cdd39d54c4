"""The ways to make models smaller. Light on purpose: the service names them without libraries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class ModelFormat(StrEnum):
    """How a model is kept, named as in `aimass.catalog.v1.ModelFormat`."""

    SKOPS = "skops"
    ONNX = "onnx"
    TORCH_PACKAGE = "torch_package"


@dataclass(frozen=True)
class Method:
    """A way to make models smaller.

    Attributes:
        description: What it does, in one sentence.
        formats: Formats of models that it fits.
        then: Methods that go on from what it makes.
        of_original: Whether it begins with the original alone: others know no more.
    """

    description: str
    formats: frozenset[ModelFormat]
    then: frozenset[str] = frozenset()
    of_original: bool = False


FEWER_MEMBERS = "fewer_members"
SMALLER_PARTS = "smaller_parts"
FEWER_COLUMNS = "fewer_columns"
SMALLER_GRAPH = "smaller_graph"
FEWER_UNITS = "fewer_units"
SMALL_NETWORK = "small_network"

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        FEWER_MEMBERS: Method(
            "Keeps those members of an ensemble that matter most, and weighs them anew.",
            frozenset({ModelFormat.SKOPS}),
        ),
        SMALLER_PARTS: Method(
            "Makes forests, boosted trees, linear models, neighbours and support vectors smaller, "
            "wherever in a model they are.",
            frozenset({ModelFormat.SKOPS}),
        ),
        FEWER_COLUMNS: Method(
            "Does without the columns that the model does not need.",
            frozenset({ModelFormat.SKOPS}),
        ),
        FEWER_UNITS: Method(
            "Removes channels, neurons, embedding widths and blocks of a network by measured "
            "latency, and trains it again with the original as teacher.",
            frozenset({ModelFormat.TORCH_PACKAGE}),
        ),
        SMALLER_GRAPH: Method(
            "Folds constants, drops trees, neurons and channels of a graph, splits layers of low "
            "rank in two, and computes in int8; the result is an ONNX model.",
            frozenset({ModelFormat.ONNX, ModelFormat.TORCH_PACKAGE}),
        ),
        SMALL_NETWORK: Method(
            "Trains small networks to say of a table's rows what the model says of them.",
            frozenset({ModelFormat.SKOPS, ModelFormat.ONNX}),
            then=frozenset({SMALLER_GRAPH}),
            of_original=True,
        ),
    }
)
"""By name, in the order in which they are tried."""


def methods_for(model: ModelFormat) -> list[str]:
    """Returns the names of the methods that fit a format."""
    return [name for name, each in METHODS.items() if model in each.formats]


def following(methods: Iterable[str]) -> frozenset[str]:
    """Returns the methods that go on from what some methods make."""
    return frozenset[str]().union(*(METHODS[each].then for each in methods))
