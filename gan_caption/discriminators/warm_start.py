"""A discriminator that begins with what the generator knows (Caccia et al. 2020, arXiv 1811.02549, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.discriminators.base import Discriminator
from gan_caption.generators.base import Generator


def shared_weights(discriminator: Discriminator, generator: Generator) -> dict[str, Tensor]:
    """Return what the discriminator begins with, by its names; see `Discriminator.weights_from`.

    Raises:
        ValueError: there is nothing, or not all that it must have.
    """
    weights = discriminator.weights_from(generator)
    if not weights:
        raise ValueError(
            f"initial_weights=generator: {type(discriminator).__name__} and {type(generator).__name__} have no weight "
            "in common; give the discriminator the generator's embedding and hidden size"
        )
    return weights


@torch.no_grad()
def take_from_generator(discriminator: Discriminator, generator: Generator) -> None:
    """Copy the weights that both have.

    Raises:
        ValueError: there are none.
    """
    own = discriminator.state_dict()
    for name, weight in shared_weights(discriminator, generator).items():
        own[name].copy_(weight)
