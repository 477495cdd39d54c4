"""What is known of operations, by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from common.networks.program import Operation
from services.pruner.domain.dependencies import elementwise, layers, shapes
from services.pruner.domain.dependencies.following import Following

Rule = Callable[[Following, Operation, Any], Any]

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(elementwise.SAME, elementwise.same),
        **dict.fromkeys(elementwise.TIED, elementwise.elementwise),
        **dict.fromkeys(elementwise.REDUCED, elementwise.reduced),
        **dict.fromkeys(elementwise.NORMALISED, elementwise.normalised),
        **dict.fromkeys(shapes.RESHAPED, shapes.reshape),
        **dict.fromkeys(shapes.CREATED, shapes.created),
        **dict.fromkeys(("split", "split_with_sizes", "chunk"), shapes.split),
        **dict.fromkeys(("matmul", "mm", "bmm", "addmm"), layers.matmul),
        **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), layers.recurrent),
        **dict.fromkeys(("embedding", "embedding_bag"), layers.embedding),
        **dict.fromkeys(("layer_norm", "rms_norm"), layers.layer_norm),
        **dict.fromkeys(("pad", "constant_pad_nd"), layers.pad),
        **{
            f"{kind}{count}d": layers.pool
            for kind in ("avg_pool", "max_pool", "adaptive_avg_pool", "adaptive_max_pool")
            for count in (1, 2)
        },
        **dict.fromkeys(
            ("upsample_bilinear2d", "upsample_nearest2d", "upsample_nearest1d"), layers.pool
        ),
        **{f"conv{count}d": layers.convolution for count in (1, 2, 3)},
        **{f"conv_transpose{count}d": layers.convolution for count in (1, 2)},
        "batch_norm": layers.batch_norm,
        "cat": shapes.concatenate,
        "expand": shapes.expand,
        "getitem": shapes.getitem,
        "group_norm": layers.group_norm,
        "linear": layers.linear,
        "permute": shapes.permute,
        "prelu": elementwise.by_channel,
        "scaled_dot_product_attention": layers.attention,
        "select": shapes.select,
        "slice": shapes.sliced,
        "t": shapes.transpose,
        "transpose": shapes.transpose,
        "unbind": shapes.unbind,
    }
)
