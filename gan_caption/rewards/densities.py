"""Exact and own log-probabilities as rewards: together, what the best discriminator would know.

Shapes: B images, N captions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from gan_caption.data.captions import EOS, Captions
from gan_caption.data.corpus import Split
from gan_caption.data.features import ImageFeatures
from gan_caption.rewards.base import Parts
from gan_caption.rewards.transforms import Transform
from gan_caption.text.base import Tokenizer


class Scoring(Protocol):
    """A policy, as what rewards ask of it."""

    def log_likelihood(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return log p(caption | image) in nats, (N,)."""
        ...


@dataclass(kw_only=True)
class LogDensity:
    """log p_data(caption | image), where a corpus knows it exactly: the positive control of what a reward can do."""

    split: Split
    """Whose rows the features name."""
    tokenizer: Tokenizer
    """Of the captions."""
    floor: float
    """Nats: what a caption outside the support is given, and the least that any is."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,).

        Raises:
            ValueError: the features do not say whose they are, or the corpus does not know the density.
        """
        if features.rows is None:
            raise ValueError("the log-density of captions needs to know whose features these are")
        rows = features.rows[captions.images].tolist()
        told = [self._of(row, ids) for row, ids in zip(rows, captions.tokens.tolist(), strict=True)]
        return features.pooled.new_tensor(told)

    def _of(self, row: int, ids: list[int]) -> float:
        if EOS not in ids:  # cut off: nobody writes it
            return self.floor
        density = self.split.log_density(row, self.tokenizer.decode(ids))
        if density is None:
            raise ValueError("log_density: this corpus does not know the density of captions; data=scenes does")
        return max(density, self.floor)


@dataclass(kw_only=True)
class ReferenceLogLikelihood:
    """log p(caption | image) of the pretrained policy: what it says of itself is no news to it."""

    reference: Scoring
    """The pretrained policy."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,), in nats."""
        return self.reference.log_likelihood(features, captions)


@dataclass(kw_only=True)
class BestDiscriminator:
    """What the best discriminator of the policy's samples says, of the policy as it is: D = p_data / (p_data + p).

    (Goodfellow et al. 2014, arXiv 1406.2661, proposition 1.) So it tells apart what a discriminator does not know and
    what its reward asks for. With `Saturating` the policy gradient is that of minus twice the Jensen-Shannon divergence
    of p and p_data (theorem 1: where D is the best one, how it moves with p adds nothing), with `Logit` that of
    -KL(p || p_data).
    """

    density: LogDensity
    """Of people's captions."""
    policy: Scoring
    """The policy as it is. Of one with noise the density is that given the sample's own."""
    transform: Transform
    """Turns D's logits into rewards."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Parts:
        """Return (N,), and the logits.

        Raises:
            ValueError: as `LogDensity`.
        """
        logits = self.density(features, captions) - self.policy.log_likelihood(features, captions)
        return Parts(self.transform(logits), {"logit": logits})
