"""A discriminator that is a policy: how much more likely a caption is under it than under the pretrained one.

Between people's captions (p_data) and as many of p_ref, the best discriminator's logit is log p_data / p_ref
(Goodfellow et al. 2014, arXiv 1406.2661, proposition 1). Here the logit is log p_theta / p_ref with p_theta a policy,
which begins as p_ref: the first answers are 0, chance, and cross-entropy leads p_theta to p_data, as far as a policy of
this kind can follow. SPIN (Chen et al. 2024, arXiv 2401.01335) and DDO (Zheng et al. 2025, arXiv 2503.01103) have D in
this form. Shapes: B images, N captions, T steps, V vocabulary.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn import functional

from gan_caption.data.captions import Captions, SoftCaptions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.own_eyes import OwnEyes
from gan_caption.discriminators.warm_start import copied
from gan_caption.encoders.base import Encoder
from gan_caption.generators.base import Generator, check_density
from gan_caption.generators.parts import parts_that_fit


class LikelihoodRatioDiscriminator(Discriminator):
    """log p_theta(caption | image) - log p_ref(caption | image).

    Its word vectors are one-hot, V numbers a word: relaxed words are weights over the vocabulary. Policies run without
    dropout, as the one that is judged does.
    """

    def __init__(self, *, generator: Generator) -> None:
        """Hold p_theta and, frozen, p_ref.

        Args:
            generator: of the kind and the sizes of the run's; it becomes p_theta. Both take the weights of the run's
                generator when D begins to learn; see `inherited`.

        Raises:
            ValueError: the policy has a noise vector.
        """
        super(Discriminator, self).__init__()  # the policies have their word vectors
        check_density(generator, "give generator.noise_size=0, or another discriminator")
        self.vocabulary_size = generator.vocabulary_size
        self.uses_grid = generator.uses_grid
        self.generator = generator
        self.reference = copy.deepcopy(generator).requires_grad_(False)

    def train(self, mode: bool = True) -> LikelihoodRatioDiscriminator:
        """Set the mode of the discriminator; its policies stay in eval mode."""
        super().train(mode)
        self.generator.eval()
        self.reference.eval()
        return self

    def seen(self, features: ImageFeatures) -> ImageFeatures:
        """Return what p_theta sees of the images; p_ref sees the features."""
        return features

    def answer(self, ratios: Tensor) -> Tensor:
        """Return the logits of captions (N,) from the log-ratios of their tokens (N, T), 0 on padding."""
        return ratios.sum(1)

    def forward(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return logits (N,). A token that policies never write, such as `<unk>`, tells nothing: it adds 0."""
        if isinstance(captions, SoftCaptions):
            return super().forward(features, captions)
        own, reference = self._log_probs(features, captions)
        return self.answer(own - reference)

    def densities(self, features: ImageFeatures, captions: Captions) -> tuple[Tensor, Tensor]:
        """Return log p_theta and log p_ref, (N,) in nats, of captions without what policies never write."""
        own, reference = self._log_probs(features, captions)
        return own.sum(1), reference.sum(1)

    def _log_probs(self, features: ImageFeatures, captions: Captions) -> tuple[Tensor, Tensor]:
        """Return both policies' log-probabilities of tokens (N, T), 0 where neither writes one."""
        own = self.generator.score(self.seen(features), captions)
        reference = self.reference.score(features, captions)
        never = own.isneginf() & reference.isneginf()
        return own.masked_fill(never, 0.0), reference.masked_fill(never, 0.0)

    def fast_score(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return `forward`'s answers, of as many captions at once as their logits fit into memory."""
        parts = parts_that_fit(self.generator, features, captions, copies=2)  # logits, and their softmax
        return torch.cat([self(seen, part) for seen, part in parts])

    def embed(self, captions: Captions) -> Tensor:
        """Return the words as weights over the vocabulary (N, T, V)."""
        if isinstance(captions, SoftCaptions):
            return captions.weights
        weights: Tensor = functional.one_hot(captions.tokens, self.vocabulary_size)
        return weights.to(next(self.generator.parameters()).dtype)

    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,) of words (N, T, V): at each step the weighted mean of the words' log-ratios."""
        words = words * captions.mask[..., None]
        own = _expected(self.generator, self.seen(features), words, captions)
        return self.answer(own - _expected(self.reference, features, words, captions))

    def weights_from(self, generator: Generator) -> dict[str, Tensor]:
        """Return all that there is, which it begins with in any case; see `inherited`."""
        return self._policies(generator)

    def inherited(self, generator: Generator, encoder: Encoder | None) -> dict[str, Tensor]:
        """Return the generator's weights, for p_theta and p_ref alike; see `Discriminator.inherited`.

        Raises:
            ValueError: p_theta is another kind of policy, or has other sizes.
        """
        del encoder
        return self._policies(generator)

    def _policies(self, generator: Generator) -> dict[str, Tensor]:
        weights = copied(generator, self.generator, name="generator").items()
        return {f"{policy}.{name}": weight for policy in ("generator", "reference") for name, weight in weights}


class DenseLikelihoodRatioDiscriminator(LikelihoodRatioDiscriminator):
    """log p_theta(word | words before, image) - log p_ref of the same, for each word: they add up to the caption's.

    A cross-entropy of words compares them after histories of people and of the policy, which differ: it finds the ratio
    of the first words, and of later ones what fits best. Where the ratio itself counts, D should learn from captions.
    """

    def answer(self, ratios: Tensor) -> Tensor:
        """Return them (N, T) as they are."""
        return ratios


class OwnEyesLikelihoodRatioDiscriminator(OwnEyes, LikelihoodRatioDiscriminator):
    """The same where p_theta sees by an encoder of its own, and p_ref by the captioner's: another captioner, whole.

    What the captioner's frozen features leave out p_theta can come to know.
    """

    def __init__(self, *, generator: Generator, encoder: Encoder) -> None:
        """Hold p_theta with its encoder and, frozen, p_ref.

        Args:
            generator: as in `LikelihoodRatioDiscriminator`.
            encoder: see `OwnEyes`.

        Raises:
            ValueError: the policy has a noise vector.
        """
        super().__init__(generator=generator)
        self.look_by(encoder)


def _expected(policy: Generator, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
    """Return the mean log-probability of each step's words by their weights, (N, T), after the weighted words before.

    It is that of `Generator.score` where weights are one-hot, but for words that are never written, which add 0.
    """
    steps = words.shape[1]
    logits, state = policy.step(captions.inputs[:, 0], policy.start(features, steps), captions.images)
    means = []
    for place in range(steps):
        if place:
            logits, state = policy.step(words[:, place - 1], state)
        log_probs = logits.float().log_softmax(1)
        log_probs = log_probs.masked_fill(log_probs.isneginf(), 0.0)
        means.append((words[:, place, policy.first_word :] * log_probs).sum(1))
    return torch.stack(means, dim=1)
