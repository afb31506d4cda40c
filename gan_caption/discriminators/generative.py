"""A discriminator that is a generative classifier: two policies, one of people's captions and one of the samples.

By Bayes' rule the logit of who wrote a caption, people and policy as often, is log p_people - log p_samples; a
generative classifier learns each density by itself, a discriminative one their ratio (Ng & Jordan 2001, "On
Discriminative vs. Generative Classifiers"). With `discriminator_trainer=generative` nothing is told apart while it
learns, so that it is the control of whatever a discriminator comes to know. Shapes: as in `base`.
"""

from __future__ import annotations

from gan_caption.discriminators.likelihood_ratio import LikelihoodRatioDiscriminator
from gan_caption.generators.base import Generator


class GenerativeDiscriminator(LikelihoodRatioDiscriminator):
    """log p_theta(caption | image) - log p_ref(caption | image), where both learn; both begin as the run's policy."""

    def __init__(self, *, generator: Generator) -> None:
        """Hold both.

        Args:
            generator: as in `LikelihoodRatioDiscriminator`.

        Raises:
            ValueError: the policy has a noise vector.
        """
        super().__init__(generator=generator)
        self.reference.requires_grad_(True)
