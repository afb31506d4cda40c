"""Direct discriminative optimisation: the policy itself is the discriminator. Shapes: B images, N captions, T steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.distributed import world
from gan_caption.errors import above, at_least
from gan_caption.generators.base import Generator, check_density
from gan_caption.objectives.base import GeneratorObjective, PolicyLoss
from gan_caption.objectives.demonstrations import score_targets
from gan_caption.objectives.samples import collect, sampled_from


@dataclass(kw_only=True)
class DirectDiscriminative(GeneratorObjective):
    """log p - log p_reference, times beta, is the logit of a D that tells people's captions from the reference's.

    Zheng et al. 2025, arXiv 2503.01103; as rounds of self-play SPIN (Chen et al. 2024, arXiv 2401.01335), which
    compares in pairs. The best D's logit is log p_data - log p_reference, so that with beta 1 and equal weights the
    minimum is p = p_data. No gradient passes through sampling: samples are the reference's.
    """

    beta: float
    """Times the log-ratio, above 0. Below 1 the minimum lies beyond the data: p_reference (p_data / p_reference)^(1 /
    beta)."""
    generated_weight: float
    """Of the samples' term beside that of people's captions, above 0: alpha of the paper."""
    samples_per_image: int
    """K of the reference's samples."""

    def __post_init__(self) -> None:
        at_least(1, samples_per_image=self.samples_per_image)
        above(0, beta=self.beta, generated_weight=self.generated_weight)

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
        del progress
        check_density(generator, "DDO needs generator.noise_size=0")
        reference = sampled_from(reference)
        samples = collect(reference, features, samples=self.samples_per_image, max_length=max_length, rng=rng)
        people, _ = self._logits(generator, reference, features, real)
        generated, entropy = self._logits(generator, reference, samples.features, samples.captions)
        right = ((people > 0).float().mean() + (generated <= 0).float().mean()) / 2
        of_people, of_samples = functional.softplus(-people).mean(), functional.softplus(generated).mean()
        yield PolicyLoss(
            of_people + self.generated_weight * of_samples,
            {
                "policy/discriminator_accuracy": right.item(),
                "policy/discriminator_log_loss": (of_people + of_samples).item() / 2,
                "policy/entropy": world.gather(entropy).mean().item(),
            },
        )

    def _logits(
        self, generator: Generator, reference: Generator, features: ImageFeatures, captions: Captions
    ) -> tuple[Tensor, Tensor]:
        """Return the implied D's logits of all ranks' captions, and the policy's entropies (M,).

        A word that neither policy can write says nothing of who wrote the caption.
        """
        scored = score_targets(generator, features, captions)
        with torch.no_grad():
            before = score_targets(reference, features, captions)
        return world.gather(self.beta * (scored.log_probs - before.log_probs).sum(1).float()), scored.entropy
