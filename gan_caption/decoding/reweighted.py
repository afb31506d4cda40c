"""Samples of a policy that are weighed before one is taken: what resampling and rejection share.

A residual energy-based captioner (Deng et al. 2020, arXiv 2004.11714) is p(x) exp(alpha logit(x)) / Z, where p is the
policy and the logit that of a discriminator of its samples. The best one's is log p_data / p: with alpha 1 the product
is p_data, and mass has moved to where people are, which no temperature can do.

Shapes: B images, C candidates of each, N captions, S sets of candidates.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.candidates import Candidates
from gan_caption.decoding.decoders import Sampling
from gan_caption.decoding.rerank import Judge, check_judge, checked, choose_nothing
from gan_caption.errors import UserError, at_least
from gan_caption.generators.base import Generator
from gan_caption.generators.parts import log_probs_in_parts


@dataclass(frozen=True)
class Weighed:
    """Captions beside other proposals of the same images, by the logarithms of their weights."""

    weights: Tensor
    """(N,), without sense where the caption is never proposed."""
    images: Tensor
    """(N,), whose caption it is."""
    proposed: Tensor
    """(N,) bool, whether the caption is ever proposed."""
    others: Tensor
    """(B, S, C-1), of independent proposals."""


@dataclass(kw_only=True)
class Reweighted(ABC):
    """Draws candidates from the policy, weighs each, and takes one an image.

    The weight of a caption x is exp(alpha * judge(x) + own_weight * log p(x)). Without a judge, powers of p are left:
    what sharpening does by itself.
    """

    judge: Judge | None
    """Gives captions numbers, in nats: a discriminator's logit, say, or any reward without parts; None: 0. Of one a
    token the sum counts, as of log p."""
    alpha: float
    """Of the judge's numbers."""
    own_weight: float
    """Of log p, that of the proposals; 0 leaves them as they are."""
    candidates: int
    """C, of each image for one caption; at least 1."""
    temperature: float
    """Of the proposals; see `Sampling`."""
    top_k: int
    """Of the proposals; see `Sampling`."""
    top_p: float
    """Of the proposals; see `Sampling`."""
    density_sets: int
    """S sets of C - 1 candidates an image, from which `log_probs` estimates what a weight is worth; at least 1."""

    def __post_init__(self) -> None:
        at_least(1, candidates=self.candidates, density_sets=self.density_sets)
        check_judge(self.judge)
        self.proposals = Sampling(temperature=self.temperature, top_k=self.top_k, top_p=self.top_p)

    def __call__(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return one caption an image."""
        return self.several(generator, features, samples=1, max_length=max_length, rng=rng)

    def several(
        self, generator: Generator, features: ImageFeatures, *, samples: int, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return `samples` captions of each image, neighbours, each chosen among candidates of its own."""
        captions, weights = self._weighed(generator, features, samples * self.candidates, max_length, rng)
        chosen = self._choose(weights.view(len(features) * samples, self.candidates), rng)
        first = torch.arange(len(chosen), device=chosen.device) * self.candidates
        return captions.select(first + chosen)

    def log_probs(
        self, generator: Generator, features: ImageFeatures, captions: Captions, *, max_length: int,
        rng: torch.Generator,
    ) -> Tensor:  # fmt: skip
        """Return log q(caption | image) in nats, (N,), of the captions that this draws; -inf where it never does.

        The proposals' part is exact, but for a generator with noise: see `Sampling.log_probs`. What the weight adds is
        a mean over S sets of other candidates, the same for all captions of an image: an estimate whose exponential is
        unbiased.
        """
        own = self.proposals.log_probs(generator, features, captions, max_length=max_length, rng=rng)
        return own + self.log_gains(self.weigh(generator, features, captions, own, max_length=max_length, rng=rng))

    @torch.no_grad()
    def weigh(
        self, generator: Generator, features: ImageFeatures, captions: Captions, own: Tensor, *, max_length: int,
        rng: torch.Generator,
    ) -> Weighed:  # fmt: skip
        """Weigh captions, whose log p of the proposals is `own` (N,), and other proposals of their images."""
        proposed = own.isfinite()
        weights = self._weights(features, captions, own.masked_fill(~proposed, 0), proposed)
        rivals = self.candidates - 1
        drawn = max(rivals, 1)  # a process may have no image, so that no size may be left to be inferred
        _, others = self._weighed(generator, features, self.density_sets * drawn, max_length, rng)
        others = others.view(len(features), self.density_sets, drawn)[:, :, :rivals]
        return Weighed(weights, captions.images, proposed, others)

    def log_gains(self, weighed: Weighed) -> Tensor:
        """Return log q - log p, (N,): what the weights add to the proposals' log p; 0 where that is -inf."""
        rows = torch.arange(len(weighed.weights), device=weighed.weights.device).split(1024)
        gains = [self._log_gain(weighed.weights[own], weighed.others[weighed.images[own]]) for own in rows]
        return torch.cat([weighed.weights.new_zeros(0), *gains]).masked_fill(~weighed.proposed, 0)

    def _weighed(
        self, generator: Generator, features: ImageFeatures, count: int, max_length: int, rng: torch.Generator
    ) -> tuple[Captions, Tensor]:
        """Return `count` proposals of each image, and the logarithms (B * count,) of their weights."""
        drawn = self.proposals.draw(generator, features, samples=count, max_length=max_length, rng=rng)
        log_probs = drawn.log_probs.sum(1)
        return drawn.of_images, self._weights(features, drawn.of_images, log_probs, log_probs.isfinite())

    def _weights(self, features: ImageFeatures, captions: Captions, log_probs: Tensor, proposed: Tensor) -> Tensor:
        """Return the logarithms (N,) of weights; they have no sense where a caption is not `proposed`, (N,) bool."""
        total = torch.zeros_like(log_probs)
        if self.own_weight:
            total = total + self.own_weight * log_probs
        if self.judge is None or not self.alpha:
            return total
        judged = checked(self.judge(features, captions), captions)
        if judged.dim() == 2:
            judged = judged.masked_fill(~captions.mask, 0).sum(1)
        judged = self.alpha * judged
        if bool((choose_nothing(judged) & proposed).any()):
            raise UserError(
                "decoding.judge: what it says of a caption is NaN or infinite, by which nothing can be chosen (-inf "
                "may be: never that one)"
            )
        return total + judged

    @abstractmethod
    def _choose(self, weights: Tensor, rng: torch.Generator) -> Tensor:
        """Return the place (M,) of the candidate that is taken, of M choices whose weights' logarithms are (M, C)."""

    @abstractmethod
    def _log_gain(self, weights: Tensor, others: Tensor) -> Tensor:
        """Return log q(x) - log p(x), (N,), from logarithms: of the captions' weights (N,), of others' (N, S, C-1)."""


@dataclass(frozen=True)
class SeveralReweighted:
    """Several captions of each image as a reweighted policy draws them, those of an image ranked by the policy's log p.

    What `SeveralSamples` is to the policy by itself.
    """

    samples: int
    """Captions of each image, at least 1; each is chosen among candidates of its own."""
    drawn_by: Reweighted
    """The distribution."""

    def __post_init__(self) -> None:
        at_least(1, samples=self.samples)

    @torch.no_grad()
    def candidates(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Candidates:
        """Return what was drawn; its log-probabilities are the policy's."""
        captions = self.drawn_by.several(generator, features, samples=self.samples, max_length=max_length, rng=rng)
        log_probs = log_probs_in_parts(generator, features, captions)
        return Candidates(captions, log_probs, log_probs).ranked_by(log_probs)


def log_mean(values: Tensor, dim: int) -> Tensor:
    """Return the logarithm of the mean of exponentials over a dimension."""
    return values.logsumexp(dim) - math.log(values.shape[dim])
