"""The exponential moving average of weights, steadier than they are (Polyak and Juditsky 1992 average uniformly)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """Return the average of a network's weights, of none so far; `update_parameters` adds them as they are then.

    At first it forgets faster than by its decay, so that the first weights do not linger.

    Args:
        network: whose weights move.
        decay: in [0, 1); 0 keeps the last weights.
    """

    def move(averages: Sequence[Tensor], currents: Sequence[Tensor], updates: Tensor | int) -> None:
        updates = int(updates)  # asked once for all weights: another device would be waited for each time
        share = 1 - min(decay, (1 + updates) / (10 + updates))
        for average, current in zip(averages, currents, strict=True):
            if average.is_floating_point():
                average.lerp_(current, share)
            else:
                average.copy_(current)  # a count, as batch norm has one

    return AveragedModel(network, multi_avg_fn=move, use_buffers=True)
