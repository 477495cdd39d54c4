"""What a model is made of; fields are told of in `aimass.analyzer.v1.StructureResult`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Shape = tuple[int, ...]


@dataclass(frozen=True)
class StructureLayer:
    """A layer."""

    name: str
    kind: str
    input_shape: Shape = ()
    output_shape: Shape = ()
    parameter_count: int = 0
    parameter_bytes: int = 0
    multiply_accumulates: int | None = None
    activation_bytes: int | None = None
    latency: float | None = None
    latency_share: float | None = None
    holds: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StructureEdge:
    """What a layer gives goes to another."""

    source: str
    target: str


@dataclass(frozen=True)
class LatencyMeasure:
    """How long the model takes."""

    rows: int
    latency: float
    rows_per_second: float


@dataclass(frozen=True)
class StructureSummary:
    """What a model is made of and what it costs."""

    layer_count: int
    layers: tuple[StructureLayer, ...]
    edges: tuple[StructureEdge, ...]
    parameter_count: int
    parameter_bytes: int
    file_bytes: int
    multiply_accumulates: int | None
    activation_bytes: int | None
    peak_activation_bytes: int | None
    latencies: tuple[LatencyMeasure, ...]
    batch_rows: int | None


@dataclass(frozen=True)
class Anatomy:
    """A model taken apart, whatever its format.

    Attributes:
        layers: In the order in which they work.
        edges: Names of layers, or inputs, and of the layers that take what they give; each leads
            from an earlier to a later one.
        inputs: Names of what goes in.
        noun: What a layer is called: `layer`, `node`, `step`.
        batch_rows: Rows that latencies are of; None where there are none.
        notes: What stood in, or could not be found.
    """

    layers: tuple[StructureLayer, ...]
    edges: tuple[tuple[str, str], ...]
    inputs: tuple[str, ...] = ()
    noun: str = "layer"
    batch_rows: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StructureFindings:
    """What the part found.

    Attributes:
        summary: See `StructureResult`.
        notes: What stood in, and what was cut short.
        anatomy: All layers, for the drawing.
    """

    summary: StructureSummary
    notes: tuple[str, ...]
    anatomy: Anatomy
