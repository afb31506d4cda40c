"""Adversarial training by gradients that pass through relaxed words. Shapes: B images, K samples of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.gumbel import Relaxation, soft, soft_sample, straight_through
from gan_caption.decoding.sampling import attach_noise
from gan_caption.discriminators.base import Discriminator
from gan_caption.distributed import world
from gan_caption.errors import at_least
from gan_caption.generators.base import Generator
from gan_caption.objectives.base import GeneratorObjective, PolicyLoss
from gan_caption.objectives.generator_losses import GeneratorLoss

_RELAXATIONS: dict[str, Relaxation] = {"soft": soft, "straight_through": straight_through}


@dataclass(kw_only=True)
class GumbelSoftmax(GeneratorObjective):
    """The discriminator's own gradient, through words drawn with the Gumbel-softmax: biased, and of low variance."""

    discriminator: Discriminator
    """D, whose gradients the generator follows."""
    loss: GeneratorLoss
    """The generator's, from D's answers."""
    relaxation: Literal["soft", "straight_through"]
    """With "soft", D and the next step are given relaxed words, with "straight_through" drawn ones."""
    temperature: float
    """Tau at the phase's first step, above 0."""
    final_temperature: float | None
    """At its last step; between them tau moves geometrically. None keeps it."""
    samples_per_image: int
    """K."""

    def __post_init__(self) -> None:
        for name, value in (("temperature", self.temperature), ("final_temperature", self.final_temperature)):
            if value is not None and value <= 0:
                raise ValueError(f"{name}={value}: above 0")
        at_least(1, samples_per_image=self.samples_per_image)

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
        """Yield one loss; see `GeneratorObjective.losses`."""
        last = self.temperature if self.final_temperature is None else self.final_temperature
        temperature = self.temperature ** (1 - progress) * last**progress
        conditions, per_row = attach_noise(generator, features, samples=self.samples_per_image, rng=rng)
        drawn = soft_sample(
            generator, conditions, samples=per_row, max_length=max_length, rng=rng,
            temperature=temperature, relaxation=_RELAXATIONS[self.relaxation],
        )  # fmt: skip
        fake = drawn.captions
        samples_of = torch.arange(len(fake), device=fake.images.device) // self.samples_per_image
        training = self.discriminator.training
        self.discriminator.eval()  # gradients are wanted, dropout is not
        loss = self.loss(self.discriminator, features, real=real, fake=replace(fake, images=samples_of))
        self.discriminator.train(training)
        metrics = {
            "policy/entropy": world.mean(drawn.entropy, fake.lengths.sum()).item(),
            "policy/length": world.gather(fake.lengths).float().mean().item(),
            "policy/temperature": temperature,
        }
        if reference is not None:
            with torch.no_grad():
                ratio = drawn.log_probs - reference.score(conditions, fake)
            metrics["policy/kl"] = world.gather(ratio.sum(1)).mean().item()
        yield PolicyLoss(loss, metrics)
