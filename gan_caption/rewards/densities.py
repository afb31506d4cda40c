"""Exact and own log-probabilities as rewards: together, what the best discriminator would know.

Shapes: B images, N captions.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
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
class Density(ABC):
    """p_data(caption | image), where a corpus knows it exactly: the positive control of what a reward can do."""

    split: Split
    """Whose rows the features name."""
    tokenizer: Tokenizer
    """Of the captions."""
    floor: float
    """Nats: the least that is said of a caption, also of one that nobody writes."""

    @abstractmethod
    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor | Parts:
        """Return the reward; see `Reward`."""

    def log_density(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return log p_data (N,), -inf for what nobody writes: captions that were cut off, or divided into subwords
        otherwise than the tokenizer divides their text.

        Raises:
            ValueError: the features do not say whose they are, or the corpus does not know the density.
        """
        if features.rows is None:
            raise ValueError("the log-density of captions needs to know whose features these are")
        rows = features.rows[captions.images].tolist()
        told = [self._of(row, ids) for row, ids in zip(rows, captions.tokens.tolist(), strict=True)]
        return features.pooled.new_tensor(told)

    def log_ratio(self, policy: Scoring, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return log p_data - log p of a policy, (N,), at least `floor`; see `log_density`."""
        density = self.log_density(features, captions)
        ratio = density - policy.log_likelihood(features, captions)
        return torch.where(density == -math.inf, self.floor, ratio.clamp(min=self.floor))

    def _of(self, row: int, ids: list[int]) -> float:
        if EOS not in ids:  # cut off
            return -math.inf
        text, length = self.tokenizer.decode(ids), ids.index(EOS) + 1
        if self.tokenizer.encode(text, max_length=length) != ids[:length]:  # people's are in one spelling of subwords
            return -math.inf
        density = self.split.log_density(row, text)
        if density is None:
            raise ValueError("log_density: this corpus does not know the density of captions; data=scenes does")
        return density


class LogDensity(Density):
    """log p_data(caption | image)."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,); see `log_density`."""
        return self.log_density(features, captions).clamp(min=self.floor)


@dataclass(kw_only=True)
class ExactRatio(Density):
    """log p_data - log p of the pretrained policy: what the best discriminator of its samples would say."""

    reference: Scoring
    """The pretrained policy."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,); see `log_density`."""
        return self.log_ratio(self.reference, features, captions)


@dataclass(kw_only=True)
class BestDiscriminator(Density):
    """What the best discriminator of the policy's samples says, of the policy as it is: D = p_data / (p_data + p).

    (Goodfellow et al. 2014, arXiv 1406.2661, proposition 1.) So it tells apart what a discriminator does not know and
    what its reward asks for. With `Saturating` the policy gradient is that of minus twice the Jensen-Shannon divergence
    of p and p_data (theorem 1: where D is the best one, how it moves with p adds nothing), with `Logit` that of
    -KL(p || p_data), but for the logit's floor.
    """

    of_caption_alone = False
    """What is said of a caption changes with the policy; see `decoding.rerank.check_judge`."""

    policy: Scoring
    """The policy as it is. Of one with noise the density is that given the sample's own."""
    transform: Transform
    """Turns D's logits into rewards."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Parts:
        """Return (N,), and the logits; see `log_density`."""
        logits = self.log_ratio(self.policy, features, captions)
        return Parts(self.transform(logits), {"logit": logits})


@dataclass(kw_only=True)
class ReferenceLogLikelihood:
    """log p(caption | image) of the pretrained policy: what it says of itself is no news to it."""

    reference: Scoring
    """The pretrained policy."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,), in nats."""
        return self.reference.log_likelihood(features, captions)
