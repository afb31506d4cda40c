"""Adversarial training by gradients that pass through relaxed words. Shapes: B images, K samples of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch

from gan_caption.data.captions import Captions, SoftCaptions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.gumbel import HARD_FEEDBACK, SOFT, STRAIGHT_THROUGH, Relaxation, SoftSamples, soft_sample
from gan_caption.decoding.sampling import attach_noise
from gan_caption.discriminators.base import Discriminator
from gan_caption.distributed import world
from gan_caption.errors import above, at_least
from gan_caption.generators.base import Generator
from gan_caption.modes import evaluating, in_eval_mode
from gan_caption.objectives.base import GeneratorObjective, PolicyLoss
from gan_caption.objectives.generator_losses import GeneratorLoss

_RELAXATIONS: dict[str, Relaxation] = {
    "soft": SOFT, "straight_through": STRAIGHT_THROUGH, "hard_feedback": HARD_FEEDBACK,
}  # fmt: skip


@dataclass(kw_only=True)
class GumbelSoftmax(GeneratorObjective):
    """The discriminator's own gradient, through words drawn with the Gumbel-softmax: biased, and of low variance."""

    discriminator: Discriminator
    """D, whose gradients the generator follows."""
    loss: GeneratorLoss
    """The generator's, from D's answers."""
    relaxation: Literal["soft", "straight_through", "hard_feedback"]
    """With "soft", D and the next step are given relaxed words, with "straight_through" drawn ones; with
    "hard_feedback" the next step is given drawn words and D relaxed ones (RelGAN)."""
    beta: float
    """The inverse temperature 1 / tau at the phase's first step, above 0."""
    beta_max: float | None
    """What it comes to geometrically by the phase's end, after the last step. None keeps it."""
    sharpness: float
    """Above 0; logits are multiplied by it before words are drawn, with 1 from the policy itself."""
    samples_per_image: int
    """K."""
    shows_people = True

    def __post_init__(self) -> None:
        above(0, beta=self.beta, beta_max=self.beta_max, sharpness=self.sharpness)
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
        samples = self.samples_per_image
        conditions, drawn = self._draw(generator, features, samples, max_length, rng, progress)
        fake = drawn.captions
        with in_eval_mode(self.discriminator):  # gradients are wanted, dropout is not
            loss = self.loss(self.discriminator, features, real=real, fake=_of_images(fake, samples))
        metrics = {
            "policy/entropy": world.mean(drawn.entropy, fake.lengths.sum()).item(),
            "policy/length": world.gather(fake.lengths).float().mean().item(),
            "policy/temperature": self._temperature(progress),
        }
        if reference is not None and self.sharpness == 1 and self.relaxation != "soft":  # else the policy drew no words
            with torch.no_grad():
                ratio = drawn.log_probs - reference.score(conditions, fake)
            metrics["policy/kl"] = world.gather(ratio.sum(1)).mean().item()
        yield PolicyLoss(loss, metrics)

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
        """Return captions as D is given them in `losses`, relaxed or not; see `GeneratorObjective.negatives`."""
        with evaluating(generator):
            _, drawn = self._draw(generator, features, samples, max_length, rng, progress)
        return _of_images(drawn.captions, samples)

    def _draw(
        self,
        generator: Generator,
        features: ImageFeatures,
        samples: int,
        max_length: int,
        rng: torch.Generator,
        progress: float,
    ) -> tuple[ImageFeatures, SoftSamples]:
        """Return K samples of each image, and the features that they were drawn from, which may have noise."""
        conditions, per_row = attach_noise(generator, features, samples=samples, rng=rng)
        drawn = soft_sample(
            generator, conditions, samples=per_row, max_length=max_length, rng=rng, sharpness=self.sharpness,
            temperature=self._temperature(progress), relaxation=_RELAXATIONS[self.relaxation],
        )  # fmt: skip
        return conditions, drawn

    def _temperature(self, progress: float) -> float:
        """Return tau where this share of the phase is done."""
        last = self.beta if self.beta_max is None else self.beta_max
        return 1 / (self.beta ** (1 - progress) * last**progress)


def _of_images(fake: SoftCaptions, samples: int) -> SoftCaptions:
    """Return captions as those of the images, of which each has K, where they belonged to features with noise."""
    return replace(fake, images=torch.arange(len(fake), device=fake.images.device) // samples)
