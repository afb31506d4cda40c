"""The contract of what trains a generator after maximum likelihood: by rewards, a ratio, weights. Shapes: B images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.base import Generator
from gan_caption.objectives.samples import policy_samples


@dataclass(frozen=True)
class PolicyLoss:
    """A loss to minimise, and numbers to log."""

    loss: Tensor
    """Scalar."""
    metrics: dict[str, float]
    """By their documented names; "policy/entropy" is always there."""


class GeneratorObjective(ABC):
    """Makes the losses of the generator; its state, where it has one, travels with the checkpoint."""

    shows_people: bool = False
    """Whether D is shown `real`, which is then without captions that hold `<unk>`: D has not learned to judge them."""

    @abstractmethod
    def losses(
        self,
        generator: Generator,
        features: ImageFeatures,
        *,
        real: Captions,
        max_length: int,
        rng: torch.Generator,
        reference: Generator | None,
        progress: float,
    ) -> Iterator[PolicyLoss]:
        """Yield the losses of one step, one for each gradient update; the update is made before the next is asked for.

        Args:
            generator: in eval mode.
            features: of B images.
            real: captions that people wrote for them, as many of each as the phase asks for.
            max_length: of samples, in tokens.
            rng: a CPU generator.
            reference: the frozen policy that `pretraining` names, where there is one.
            progress: the share of the phase that is done, in [0, 1); for schedules.

        Raises:
            ValueError: the parts of the objective do not fit together.
        """

    def negatives(
        self,
        generator: Generator,
        features: ImageFeatures,
        *,
        samples: int,
        max_length: int,
        rng: torch.Generator,
        progress: float,
    ) -> Captions:
        """Return what a discriminator that learns beside the generator is given of it: here the policy's samples.

        Args:
            generator: the policy.
            features: of B images.
            samples: of each.
            max_length: of samples, in tokens.
            rng: a CPU generator.
            progress: as in `losses`.

        Returns:
            captions of the B images, cut off from any graph.
        """
        del progress
        return policy_samples(generator, features, samples=samples, max_length=max_length, rng=rng)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        del state
