"""What each node of an ONNX model takes in ONNX Runtime, as its own profiler sees it."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from common.models.onnx_session import onnx_session
from services.pruner.domain.foreign.graphs import Rows

_WARM, _ROUNDS = 3, 20
_KERNEL = "_kernel_time"


@dataclass(frozen=True)
class NodeTime:
    """What a node takes.

    Attributes:
        name: Of the node, as the runtime calls it: nodes that it has fused have one name.
        kind: Its operation.
        seconds: The median.
    """

    name: str
    kind: str
    seconds: float


def node_times(content: bytes, inputs: Rows, folder: Path) -> tuple[NodeTime, ...]:
    """Returns what each node takes on one thread, the slowest first.

    Args:
        content: A valid ONNX file.
        inputs: A batch by name.
        folder: For the profiler's file, which is removed.
    """
    session = onnx_session(content, profile=str(folder / "profile"))
    for _ in range(_WARM + _ROUNDS):
        session.run(None, dict(inputs))
    path = Path(session.end_profiling())
    events = json.loads(path.read_text())
    path.unlink()
    kinds, taken = dict[str, str](), defaultdict[str, list[float]](list)
    for each in events:
        if each.get("cat") == "Node" and each["name"].endswith(_KERNEL):
            name = each["name"].removesuffix(_KERNEL)
            kinds[name] = each["args"]["op_name"]
            taken[name].append(each["dur"] / 1e6)
    found = [NodeTime(name, kinds[name], median(some[_WARM:])) for name, some in taken.items()]
    return tuple(sorted(found, key=lambda each: -each.seconds))
