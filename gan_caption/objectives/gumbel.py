"""Adversarial training by gradients that pass through relaxed words. Shapes: B images, K samples of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
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


class GumbelSoftmax(GeneratorObjective):
    """The discriminator's own gradient, through words drawn with the Gumbel-softmax: biased, and of low variance."""

    def __init__(
        self,
        *,
        discriminator: Discriminator,
        loss: GeneratorLoss,
        relaxation: Literal["soft", "straight_through"] = "straight_through",
        temperature: float = 0.5,
        final_temperature: float | None = None,
        samples_per_image: int = 1,
    ) -> None:
        """Put the parts together.

        Args:
            discriminator: D.
            loss: what the generator wants of D.
            relaxation: "soft" hands relaxed words to D and to the next step, "straight_through" drawn ones.
            temperature: tau at the phase's first step, above 0.
            final_temperature: at its last step; between them tau moves geometrically. None keeps it.
            samples_per_image: K.
        """
        for name, value in (("temperature", temperature), ("final_temperature", final_temperature)):
            if value is not None and value <= 0:
                raise ValueError(f"{name}={value}: above 0")
        at_least(1, samples_per_image=samples_per_image)
        self.discriminator = discriminator
        self.loss = loss
        self.relaxation = _RELAXATIONS[relaxation]
        self.temperature = temperature
        self.final_temperature = temperature if final_temperature is None else final_temperature
        self.samples_per_image = samples_per_image

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
        temperature = self.temperature ** (1 - progress) * self.final_temperature**progress
        conditions, per_row = attach_noise(generator, features, samples=self.samples_per_image, rng=rng)
        rollout = soft_sample(
            generator, conditions, samples=per_row, max_length=max_length, rng=rng,
            temperature=temperature, relaxation=self.relaxation,
        )  # fmt: skip
        fake = rollout.captions
        samples_of = torch.arange(len(fake), device=fake.images.device) // self.samples_per_image
        training = self.discriminator.training
        self.discriminator.eval()  # gradients are wanted, dropout is not
        loss = self.loss(self.discriminator, features, real=real, fake=replace(fake, images=samples_of))
        self.discriminator.train(training)
        metrics = {
            "policy/entropy": world.mean(rollout.entropy, fake.lengths.sum()).item(),
            "policy/length": world.gather(fake.lengths).float().mean().item(),
            "policy/temperature": temperature,
        }
        if reference is not None:
            with torch.no_grad():
                ratio = rollout.log_probs - reference.score(conditions, fake)
            metrics["policy/kl"] = world.gather(ratio.sum(1)).mean().item()
        yield PolicyLoss(loss, metrics)
