"""What weights a generator begins with, where its layers' own are not meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from gan_caption.errors import above


class Initialisation(Protocol):
    """Gives a network the weights that it begins with."""

    def __call__(self, network: nn.Module) -> None:
        """Change every weight in place; random numbers are torch's own."""
        ...


@dataclass(frozen=True, kw_only=True)
class NormalWeights:
    """Every weight and bias normal with mean 0, as the authors of SeqGAN have it (Yu et al. 2017; their code).

    It decides what a small network comes to: word vectors drawn from N(0, 1), PyTorch's, let the LSTM of SeqGAN's
    synthetic task learn its 10,000 sequences by heart within a few epochs.
    """

    std: float
    """The standard deviation, above 0."""

    def __post_init__(self) -> None:
        above(0, std=self.std)

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> None:
        """Draw all weights; see `Initialisation`."""
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=self.std)
