"""A discriminator that begins with what the generator knows (Caccia et al. 2020, arXiv 1811.02549, section 4)."""

from __future__ import annotations

import torch

from gan_caption.discriminators.base import Discriminator
from gan_caption.generators.base import Generator


def shared_weights(discriminator: Discriminator, generator: Generator) -> list[str]:
    """Return the names of the weights that both have in the same shape: word vectors and, of LSTMs, recurrent ones.

    Raises:
        ValueError: there are none.
    """
    theirs = {name: weight for name, weight in generator.state_dict().items() if name.startswith(("words.", "lstm."))}
    names = [n for n, own in discriminator.state_dict().items() if n in theirs and own.shape == theirs[n].shape]
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
    own, theirs = discriminator.state_dict(), generator.state_dict()
    for name in shared_weights(discriminator, generator):
        own[name].copy_(theirs[name])
