"""N-BEATS as torch modules; see `common.networks.kinds.nbeats`."""

from itertools import pairwise

from torch import Tensor, nn

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.covariates import beside_width
from common.networks.kinds.nbeats import NBeatsBlock, NBeatsNetwork
from common.networks.torch_kinds.base import State, TorchKind, renumbered, widths
from common.networks.torch_kinds.covariates import Beside, Covariates, joined


class NBeatsModel(nn.Module):
    """Blocks one after the other; each takes off what it explains and adds to the forecast."""

    def __init__(self, settings: NBeatsNetwork, network_input: NetworkInput, outputs: int) -> None:
        """Makes the blocks; their forecasts begin at 0."""
        super().__init__()
        window, last = network_input.window, len(settings.blocks) - 1
        beside = beside_width(network_input, outputs)
        self.covariates = Covariates(network_input, outputs)
        self.blocks = nn.ModuleList(
            _Block(block, settings.dropout, window, beside, outputs, is_last=place == last)
            for place, block in enumerate(settings.blocks)
        )

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `common.networks.modules.build_network`."""
        beside = self.covariates(inputs)
        first, *others = self.blocks
        output, left = first(beside)
        for block in others:
            more, left = block(beside._replace(rest=left))
            output = output + more
        forecast: Tensor = output + beside.effects
        return forecast


class _Block(nn.Module):
    def __init__(
        self,
        block: NBeatsBlock,
        dropout: float,
        window: int,
        beside: int,
        outputs: int,
        *,
        is_last: bool,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise([window + beside, *block.hidden_widths]):
            layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers)
        width = block.hidden_widths[-1]
        self.forecast = nn.Linear(width, outputs)
        for parameter in self.forecast.parameters():
            nn.init.zeros_(parameter)
        # Nobody looks at what the last one leaves.
        self.backcast = None if is_last else nn.Linear(width, window)

    def forward(self, seen: Beside) -> tuple[Tensor, Tensor]:
        """Returns the forecast and what of the past it leaves."""
        hidden = self.layers(joined(seen))
        left = seen.rest if self.backcast is None else seen.rest - self.backcast(hidden)
        return self.forecast(hidden), left


def resized_nbeats(settings: NBeatsNetwork, state: State) -> tuple[NBeatsNetwork, State]:
    """See `TorchKind.resized`."""
    state = renumbered(state, r"blocks\.")
    count = len({name.split(".")[1] for name in state})
    blocks = tuple(
        NBeatsBlock(hidden_widths=tuple(widths(state, f"blocks.{place}.layers.", 2)))
        for place in range(count)
    )
    return settings.model_copy(update={"blocks": blocks}), state


KIND = TorchKind(NBeatsModel, resized_nbeats)
