"""Networks of torch taken apart. Imports torch."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import torch
import torchinfo
from torch import Tensor, nn
from torchinfo.layer_info import LayerInfo

from common.data.rows import RawRows
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.layers import NETWORK, Layer, network_layers
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.structure.counting import ProductCounter
from services.analyzer.domain.structure.dataflow import Dataflow
from services.analyzer.domain.structure.findings import Anatomy, Shape, StructureLayer
from services.analyzer.domain.structure.timing import median_seconds


def network_anatomy(model: TorchPackage, batch: RawRows, budget: Budget) -> Anatomy:
    """Runs a network on a row to see its layers, then on a batch to see how long they take.

    Args:
        model: The package.
        batch: Some rows.
        budget: To spend.
    """
    network = model.network
    layers = network_layers(network)
    names = model.preprocessing.network_input.names
    row = model.inputs(batch.take(slice(0, 1)))
    flow = Dataflow(network, layers, names)
    flow.record(row)
    told, products = _summary(network, layers, row)
    seconds = _latencies(network, layers, model.inputs(batch), budget)
    found = [
        _layer(layer, told.get(layer.name), products.get(layer.name, 0), seconds.get(layer.name))
        for layer in layers
    ]
    order = {name: place for place, name in enumerate(flow.nodes)}
    found += [_join(name, kind, flow) for name, kind in flow.joins.items()]
    found.sort(key=lambda each: order.get(each.name, len(order)))
    return Anatomy(tuple(found), tuple(_forward(flow)), names, batch_rows=batch.count)


def _layer(
    layer: Layer, info: LayerInfo | None, products: int, seconds: float | None
) -> StructureLayer:
    assert layer.module is not None
    own = [*layer.module.parameters(recurse=False)]
    plain = StructureLayer(
        name=layer.name,
        kind=layer.kind,
        parameter_count=sum(each.numel() for each in own),
        parameter_bytes=sum(each.nbytes for each in (*own, *layer.module.buffers(recurse=False))),
        multiply_accumulates=products,
        latency=seconds,
    )
    if info is None:  # It was not used.
        return replace(plain, multiply_accumulates=0, activation_bytes=0)
    return replace(
        plain,
        input_shape=_of_one(info.input_size),
        output_shape=_of_one(info.output_size),
        activation_bytes=info.output_bytes,
    )


def _join(name: str, kind: str, flow: Dataflow) -> StructureLayer:
    shape, size = flow.nodes[name]
    return StructureLayer(
        name=name,
        kind=kind,
        input_shape=_of_one(flow.takes[name]),
        output_shape=_of_one(shape),
        multiply_accumulates=0,
        activation_bytes=size,
    )


def _of_one(shape: Sequence[int]) -> Shape:
    return tuple(shape[1:])


def _forward(flow: Dataflow) -> Iterator[tuple[str, str]]:
    """Yields edges that lead onwards; a layer that is used again would make a cycle."""
    order = {name: place for place, name in enumerate(flow.nodes)}
    for source, target in flow.edges:
        if order.get(source, -1) < order[target]:
            yield source, target


def _summary(
    network: nn.Module, layers: Sequence[Layer], row: tuple[Tensor, ...]
) -> tuple[dict[str, LayerInfo], Mapping[str, int]]:
    """Returns what torchinfo tells of layers, and their multiply-accumulates for one row.

    torchinfo counts these by parameters, so that embeddings would have some and products without
    parameters none: the operations are counted instead.
    """
    names = {id(module): name or NETWORK for name, module in network.named_modules()}
    counter = ProductCounter()
    with counter.listening(layers), counter:
        told = torchinfo.summary(
            network, input_data=[*row], verbose=0, device="cpu", depth=len(names)
        )
    infos: dict[str, LayerInfo] = {}
    for info in told.summary_list:
        infos.setdefault(names[info.layer_id], info)
    return infos, counter.products


def _latencies(
    network: nn.Module, layers: Iterable[Layer], batch: tuple[Tensor, ...], budget: Budget
) -> dict[str, float]:
    """Returns the median seconds that layers take for a batch, without those inside."""
    taken: dict[str, list[float]] = {}
    with torch.inference_mode(), _clocks(layers, taken):
        median_seconds(lambda: network(*batch), budget, repeats=3)
    # The first run warms up.
    return {name: median(seconds[1:] or seconds) for name, seconds in taken.items()}


@contextmanager
def _clocks(layers: Iterable[Layer], taken: dict[str, list[float]]) -> Iterator[None]:
    """Adds to `taken` how long each layer takes whenever it is called."""
    running: list[list[float]] = []
    handles = []

    def before(*given: Any) -> None:
        running.append([time.perf_counter(), 0.0])

    def after(name: str) -> Any:
        def stop(*given: Any) -> None:
            start, inside = running.pop()
            seconds = time.perf_counter() - start
            taken.setdefault(name, []).append(seconds - inside)
            if running:
                running[-1][1] += seconds

        return stop

    try:
        for layer in layers:
            assert layer.module is not None
            handles.append(layer.module.register_forward_pre_hook(before))
            handles.append(layer.module.register_forward_hook(after(layer.name)))
        yield
    finally:
        for handle in handles:
            handle.remove()
