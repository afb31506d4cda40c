"""A discriminator that begins with what the captioner knows (Caccia et al. 2020, arXiv 1811.02549, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_caption.discriminators.base import Discriminator
from gan_caption.encoders.base import Encoder
from gan_caption.generators.base import Generator


def shared_weights(discriminator: Discriminator, generator: Generator) -> dict[str, Tensor]:
    """Return what the discriminator can begin with, by its names; see `Discriminator.weights_from`.

    Raises:
        ValueError: there is nothing.
    """
    weights = discriminator.weights_from(generator)
    if not weights:
        raise ValueError(
            f"initial_weights=generator: {type(discriminator).__name__} and {type(generator).__name__} have no weight "
            "in common; give the discriminator the generator's embedding and hidden size"
        )
    return weights


def take_from_generator(discriminator: Discriminator, generator: Generator) -> None:
    """Copy the weights that both have.

    Raises:
        ValueError: there are none.
    """
    _copy(shared_weights(discriminator, generator), discriminator)


def inherit(discriminator: Discriminator, generator: Generator, encoder: Encoder | None) -> None:
    """Copy the weights that the discriminator begins with in any case; see `Discriminator.inherited`."""
    _copy(discriminator.inherited(generator, encoder), discriminator)


def copied(run: nn.Module, own: nn.Module, *, name: str) -> dict[str, Tensor]:
    """Return the weights of a run's network for one of the same kind that a discriminator has.

    Args:
        run: the run's network.
        own: the discriminator's.
        name: by which configurations call both.

    Raises:
        ValueError: they differ in kind or sizes.
    """
    weights, there = run.state_dict(), own.state_dict()
    if {key: weight.shape for key, weight in weights.items()} != {key: weight.shape for key, weight in there.items()}:
        raise ValueError(
            f"the discriminator begins with a copy of the run's {name}, and discriminator.{name} is another network: "
            f"give it the same page and sizes, as discriminator.{name}='${{{name}}}' does"
        )
    return weights


@torch.no_grad()
def _copy(weights: dict[str, Tensor], discriminator: Discriminator) -> None:
    own = discriminator.state_dict()
    for name, weight in weights.items():
        own[name].copy_(weight)
