"""What a graph does not need: constants computed once, nodes that do nothing, what nobody uses."""

import onnx
from onnx import defs, helper, numpy_helper

from common.models.onnx_session import onnx_session
from services.pruner.domain.foreign.graphs import (
    Changed,
    as_array,
    attributes,
    captured,
    constants,
    copied,
    plural,
    renamed,
    replace,
    subgraphs,
)

# Others every time, or larger when computed: int8 weights are stored as such.
_NEVER_COMPUTED = frozenset(
    ["Bernoulli", "DequantizeLinear", "Multinomial", "RandomNormalLike", "RandomUniformLike"]
)
_OF_ONE_INPUT = frozenset({"Concat", "Max", "Mean", "Min", "Sum"})
_SMALL_BYTES = 1024


def folded(model: onnx.ModelProto) -> Changed:
    """Returns a model that computes the same with fewer nodes and constants.

    What depends on constants alone is computed unless that is larger; identities and dropout go;
    equal constants become one; what no output depends on goes.

    Args:
        model: As `read_model` gives it.
    """
    new = copied(model)
    computed = _compute(new)
    unused = _drop_unused(new)
    skipped = _skip(new.graph)
    unused += _drop_unused(new)
    counts = {
        "computed {} from constants": computed,
        "removed {} without effect": skipped,
        "removed {} that no output depends on": unused,
    }
    merged = merge_equal(new.graph)
    notes = [
        f"Folding {verb.format(plural(count, 'node'))}." for verb, count in counts.items() if count
    ]
    if merged:
        notes.append(f"{plural(merged, 'constant')} that equalled others became one with them.")
    return Changed(new, tuple(notes))


def _compute(model: onnx.ModelProto) -> int:
    graph, kept, count = model.graph, [], 0
    known = constants(graph)
    for node in graph.node:
        results = _results(node, known, model)
        if results is None:
            kept.append(node)
            continue
        graph.initializer.extend(results)
        known |= {each.name: each for each in results}
        count += node.op_type != "Constant"
    replace(graph.node, kept)
    return count


def _results(
    node: onnx.NodeProto, known: dict[str, onnx.TensorProto], model: onnx.ModelProto
) -> list[onnx.TensorProto] | None:
    """Returns what a node gives if that is constant and no larger than what it is made of."""
    if node.op_type == "Constant":
        return _constant(node)
    inputs = [name for name in node.input if name]
    is_constant = inputs and all(name in known for name in inputs)
    if not is_constant or node.op_type in _NEVER_COMPUTED or any(subgraphs(node)):
        return None
    names = [name for name in node.output if name]
    used = [known[name] for name in dict.fromkeys(inputs)]
    infos = [onnx.ValueInfoProto(name=name) for name in names]
    single = helper.make_model(
        helper.make_graph([node], "constant", [], infos, used),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )
    try:
        values = onnx_session(single.SerializeToString()).run(names, {})
        found = [numpy_helper.from_array(v, n) for n, v in zip(names, values, strict=True)]
    except Exception:  # onnxruntime's own exceptions have no common root; the node stays.
        return None
    allowed = sum(each.ByteSize() for each in used) + _SMALL_BYTES
    return found if sum(each.ByteSize() for each in found) <= allowed else None


def _constant(node: onnx.NodeProto) -> list[onnx.TensorProto] | None:
    (name, value), *_ = attributes(node).items()
    if name == "sparse_value":
        return None
    tensor = value
    if not isinstance(value, onnx.TensorProto):
        kinds = {"value_float": "float32", "value_floats": "float32", "value_int": "int64"}
        kind = kinds.get(name, "int64" if name == "value_ints" else "object")
        tensor = numpy_helper.from_array(as_array(value).astype(kind))
    result = onnx.TensorProto()
    result.CopyFrom(tensor)
    result.name = node.output[0]
    return [result]


def _skip(graph: onnx.GraphProto) -> int:
    """Removes nodes that give what they take."""
    outputs = {each.name for each in graph.output}
    outer = {each.name for each in graph.input} | {each.name for each in graph.initializer}
    known, kept, count = constants(graph), [], 0
    for node in graph.node:
        if not _does_nothing(node, known):
            kept.append(node)
            continue
        source, result = node.input[0], node.output[0]
        if result not in outputs:
            renamed(graph, {result: source})
        elif source in outer | outputs:
            kept.append(node)
            continue
        else:
            # An output keeps its name: what gives the value takes it over.
            renamed(graph, {source: result})
            _renamed_output(kept, source, result)
        count += 1
    replace(graph.node, kept)
    return count


def _renamed_output(nodes: list[onnx.NodeProto], old: str, new: str) -> None:
    for node in nodes:
        for place, name in enumerate(node.output):
            if name == old:
                node.output[place] = new


def _does_nothing(node: onnx.NodeProto, known: dict[str, onnx.TensorProto]) -> bool:
    if node.domain not in {"", "ai.onnx"}:
        return False
    if node.op_type in _OF_ONE_INPUT:
        return len(node.input) == 1
    if node.op_type == "Dropout":
        return not any(node.output[1:]) and not _is_training(node, known)
    return node.op_type == "Identity"


def _is_training(node: onnx.NodeProto, known: dict[str, onnx.TensorProto]) -> bool:
    name = node.input[2] if len(node.input) > 2 else ""
    return bool(name) and (name not in known or bool(numpy_helper.to_array(known[name])))


def _drop_unused(model: onnx.ModelProto) -> int:
    graph = model.graph
    needed = {each.name for each in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(filter(None, node.output)):
            needed |= {*node.input, *captured(node)}
            kept.append(node)
    count = len(graph.node) - len(kept)
    replace(graph.node, reversed(kept))
    for node in graph.node:
        _drop_outputs(node, needed, model)
    alive = needed | {each.name for each in graph.input}
    replace(graph.initializer, [each for each in graph.initializer if each.name in alive])
    replace(graph.value_info, [each for each in graph.value_info if each.name in needed])
    return count


def _drop_outputs(node: onnx.NodeProto, needed: set[str], model: onnx.ModelProto) -> None:
    """Leaves out optional outputs of a node that nobody uses."""
    versions = {each.domain: each.version for each in model.opset_import}
    if not defs.has(node.op_type, node.domain) or node.domain not in versions:
        return
    formal = defs.get_schema(node.op_type, versions[node.domain], node.domain).outputs
    for place, output in enumerate(node.output):
        is_optional = place < len(formal) and formal[place].option == (
            defs.OpSchema.FormalParameterOption.Optional
        )
        if is_optional and output not in needed:
            node.output[place] = ""
    while len(node.output) > 1 and not node.output[-1]:
        del node.output[-1]


def merge_equal(graph: onnx.GraphProto) -> int:
    """Lets equal constants be one; returns how many went."""
    outputs = {each.name for each in graph.output}
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    names = {}
    for name, tensor in constants(graph).items():
        values = numpy_helper.to_array(tensor)
        is_text = tensor.data_type == onnx.TensorProto.STRING
        content = repr(values.tolist()).encode() if is_text else values.tobytes()
        known = first.setdefault((tensor.data_type, tuple(tensor.dims), content), name)
        if known != name and name not in outputs:
            names[name] = known
    renamed(graph, names)
    replace(graph.initializer, [each for each in graph.initializer if each.name not in names])
    return len(names)
