"""Layers of a model by name, of torch packages and ONNX models alike. Imports torch and onnx."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

import onnx
import onnx.inliner
from torch import nn

from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.models.foreign import OnnxAnalysed
from services.analyzer.domain.models.model import AnalysedModel
from services.analyzer.domain.models.torch_package import TorchPackage

NETWORK = "network"
"""Name of the network itself, where it has weights that are no layer's."""

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_NOTHING = (nn.Identity,)
_CONSTANT = "Constant"
_MOST_NAMED = 20


@dataclass(frozen=True)
class Layer:
    """A layer.

    Attributes:
        name: Unique in its model. Torch: path of the module, `NETWORK` for the network itself.
            ONNX: name of the node, made up where it has none.
        kind: Torch: class of the module. ONNX: operator.
        module: Torch alone: the module.
        node: ONNX alone: the node.
    """

    name: str
    kind: str
    module: nn.Module | None = None
    node: onnx.NodeProto | None = None

    @property
    def output(self) -> str:
        """ONNX: name of the tensor that it gives (the first one). Torch: empty."""
        return "" if self.node is None else next((each for each in self.node.output if each), "")


def named_layers(model: AnalysedModel) -> list[Layer]:
    """Returns the layers in order; none of a scikit-learn model.

    Torch: modules without others inside, and those that have weights of their own, in the order in
    which they were made; what does nothing (`Identity`) is left out. ONNX: nodes in the order in
    which they are computed, constants left out.
    """
    if isinstance(model, TorchPackage):
        return network_layers(model.network)
    if isinstance(model, OnnxAnalysed):
        return onnx_layers(onnx_file(model))
    return []


def network_layers(network: nn.Module) -> list[Layer]:
    """Returns the layers of a network; see `named_layers`."""
    return [
        Layer(name or NETWORK, type(module).__name__, module=module)
        for name, module in network.named_modules()
        if _is_layer(module)
    ]


def onnx_file(model: OnnxAnalysed) -> onnx.ModelProto:
    """Returns the file of a model, its functions written out, every node named uniquely.

    It can be changed: it is a copy. Nodes of branches and loops keep their names.
    """
    found = onnx.ModelProto.FromString(model.model.content)
    if found.functions:
        found = onnx.inliner.inline_local_functions(found)
    taken: set[str] = set()
    for place, node in enumerate(found.graph.node):
        node.name = _free(node.name or f"{node.op_type}_{place}", taken)
        taken.add(node.name)
    return found


def onnx_layers(file: onnx.ModelProto) -> list[Layer]:
    """Returns the layers of a file that `onnx_file` gave."""
    nodes = (node for node in file.graph.node if node.op_type != _CONSTANT)
    return [Layer(node.name, node.op_type, node=node) for node in nodes]


def chosen_layers(layers: Sequence[Layer], names: Iterable[str]) -> list[Layer]:
    """Returns the layers that were asked for, in the order of the names.

    Raises:
        UnusableModelError: There is none of a name; says which there are.
    """
    by_name = {layer.name: layer for layer in layers}
    return [by_name.get(name) or _unknown(name, layers) for name in names]


def _unknown(name: str, layers: Sequence[Layer]) -> Layer:
    known = ", ".join(layer.name for layer in layers[:_MOST_NAMED]) or "none"
    more = f" and {len(layers) - _MOST_NAMED} more" if len(layers) > _MOST_NAMED else ""
    raise UnusableModelError(f"The model has no layer `{name}`; it has {known}{more}.")


def _is_layer(module: nn.Module) -> bool:
    if isinstance(module, _NOTHING):
        return False
    if any(True for _ in module.parameters(recurse=False)):
        return True
    return not isinstance(module, _CONTAINERS) and not any(True for _ in module.children())


def _free(name: str, taken: set[str]) -> str:
    """Returns the name, with a number behind it where it is taken."""
    if name not in taken:
        return name
    return next(each for number in count(2) if (each := f"{name}_{number}") not in taken)
