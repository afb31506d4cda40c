"""A discriminator that begins with what the generator knows (Caccia et al. 2020, arXiv 1811.02549, section 4)."""

from __future__ import annotations

import torch

from gan_caption.discriminators.base import Discriminator
from gan_caption.generators.base import Generator


def shared_weights(discriminator: Discriminator, generator: Generator) -> list[str]:
    """Return the names of the weights that the generator offers and the discriminator has in the same shape.

    Raises:
        ValueError: there are none.
    """
    theirs = generator.warm_start_weights()
    discriminator = discriminator.unwrapped
    own = discriminator.state_dict()
    names = [name for name in own if name in theirs and own[name].shape == theirs[name].shape]
    if not names:
        raise ValueError(
            f"initial_weights=generator: {type(discriminator).__name__} and {type(generator).__name__} have no weight "
            "in common; give the discriminator the generator's embedding and hidden size"
        )
    return names


@torch.no_grad()
def take_from_generator(discriminator: Discriminator, generator: Generator) -> None:
    """Copy the weights that both have.

    Raises:
        ValueError: there are none.
    """
    own, theirs = discriminator.unwrapped.state_dict(), generator.warm_start_weights()
    for name in shared_weights(discriminator, generator):
        own[name].copy_(theirs[name])
