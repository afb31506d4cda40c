"""An LSTM with layer normalisation inside (Ba et al. 2016, arXiv 1607.06450).

The sums at all four gates are normalised together, as in Sonnet 1 (`snt.LSTM(use_layer_norm=True)`,
github.com/google-deepmind/sonnet), on which ScratchGAN builds; the paper normalises inputs and states apart, and the
cell as well. Shapes: N captions, T steps, E inputs, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import cached

from gan_caption.kernels.products import Linear
from gan_caption.kernels.recurrent import State


class LayerNormLSTM(nn.Module):
    """One layer, read step by step: the normalisation looks at the state before, so steps cannot be taken together."""

    def __init__(self, *, inputs: int, hidden: int) -> None:
        """Map (N, T, inputs) to (N, T, hidden)."""
        super().__init__()
        self.from_inputs = Linear(inputs, 4 * hidden, bias=False)
        self.from_state = Linear(hidden, 4 * hidden, bias=False)
        self.normalise = nn.LayerNorm(4 * hidden)  # its bias is the gates'

    def forward(self, inputs: Tensor, start: State) -> Tensor:
        """Return the outputs (N, T, H) from inputs (N, T, E); `start` is before the first, (N, H) each."""
        outputs = []
        state = start
        with cached():  # a spectral norm has the same weights at every step, and moves as often on every rank
            for own in self.from_inputs(inputs).unbind(1):
                state = self.step(own, state)
                outputs.append(state[0])
        return torch.stack(outputs, dim=1)

    def step(self, from_inputs: Tensor, state: State) -> State:
        """Return the state after one step; `from_inputs` is what the inputs add to the sums at the gates, (N, 4 H)."""
        hidden, cell = state
        inputs, forget, new, output = self.normalise(from_inputs + self.from_state(hidden)).chunk(4, dim=1)
        # One more at the forget gate, so that at first the cell keeps what it has (Jozefowicz et al. 2015).
        cell = torch.sigmoid(forget + 1) * cell + torch.sigmoid(inputs) * torch.tanh(new)
        return torch.sigmoid(output) * torch.tanh(cell), cell
