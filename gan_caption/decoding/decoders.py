"""Ways to decode one caption an image, as `conf/decoding/` names them; some know several."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.beam import beam_candidates, beam_search
from gan_caption.decoding.candidates import Candidates
from gan_caption.decoding.diverse_beam import diverse_beam_search
from gan_caption.decoding.greedy import greedy
from gan_caption.decoding.rerank import Judge, check_judge, rerank
from gan_caption.decoding.sampling import Samples, sample_with_noise, shape_distribution
from gan_caption.errors import at_least, proportion
from gan_caption.generators.base import Generator, token_log_probs
from gan_caption.generators.parts import parts_that_fit

OWN = "own"
"""What the weight of a proposer's own scores is called, beside those of judges."""
_SHAPED = 10
"""Arrays of the logits' size that the most probable words and their mass are found with, at most."""


class Decoder(Protocol):
    """Turns the features of B images into B captions."""

    def __call__(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return one caption an image; only sampling uses `rng`."""
        ...


class Proposer(Protocol):
    """Turns the features of B images into several captions of each."""

    def candidates(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Candidates:
        """Return the captions of each image, the best first; only sampling uses `rng`."""
        ...


class Sampler(Protocol):
    """A distribution over captions: what draws from it, and how probable a caption is."""

    def several(
        self, generator: Generator, features: ImageFeatures, *, samples: int, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return `samples` captions of each image, those of an image neighbours."""
        ...

    def log_probs(
        self, generator: Generator, features: ImageFeatures, captions: Captions, *, max_length: int,
        rng: torch.Generator,
    ) -> Tensor:  # fmt: skip
        """Return log q(caption | image) in nats, (N,); -inf where a word is never drawn. Only estimates use `rng`.

        Args:
            generator: the policy.
            features: of the images of `captions`.
            captions: of at most `max_length` tokens; those of fewer end with `<eos>`.
            max_length: of what would be drawn.
            rng: a CPU generator.
        """
        ...


class Greedy:
    """The most probable next word."""

    def __call__(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return one caption an image."""
        del rng
        return greedy(generator, features, max_length=max_length)


class Beam:
    """Beam search; see `beam_search`."""

    def __init__(self, *, beam_size: int, length_penalty: float, no_repeated_trigram: bool) -> None:
        """Set the search.

        Args:
            beam_size: k, beams of each image, at least 1.
            length_penalty: captions are ranked by log p / length ** this; 0 favours short ones, 1 is the mean a token.
            no_repeated_trigram: forbid to write three words in a row that the caption has already.
        """
        at_least(1, beam_size=beam_size)
        self.beam_size = beam_size
        self.length_penalty = length_penalty
        self.no_repeated_trigram = no_repeated_trigram

    def __call__(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return one caption an image."""
        del rng
        return beam_search(
            generator, features, beam_size=self.beam_size, max_length=max_length,
            length_penalty=self.length_penalty, no_repeated_trigram=self.no_repeated_trigram,
        )  # fmt: skip

    def candidates(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Candidates:
        """Return all finished captions; see `beam_candidates`."""
        del rng
        return beam_candidates(
            generator, features, beam_size=self.beam_size, max_length=max_length,
            length_penalty=self.length_penalty, no_repeated_trigram=self.no_repeated_trigram,
        )  # fmt: skip


class DiverseBeam:
    """Diverse beam search; see `diverse_beam_search`."""

    def __init__(
        self, *, groups: int, beam_size: int, diversity: float, length_penalty: float, no_repeated_trigram: bool
    ) -> None:
        """Set the search.

        Args:
            groups: G of each image, at least 1.
            beam_size: beams of each group, at least 1.
            diversity: lambda, nats for each word that a group before has at the same step, 0 to 100: at more, words are
                avoided no better, and penalties drown log p in float32.
            length_penalty: as in `Beam`.
            no_repeated_trigram: as in `Beam`, of each caption by itself.
        """
        at_least(1, groups=groups, beam_size=beam_size)
        if not 0 <= diversity <= 100:
            raise ValueError(f"diversity={diversity}: 0 to 100 nats; .2 to .8 work well")
        self.groups = groups
        self.beam_size = beam_size
        self.diversity = diversity
        self.length_penalty = length_penalty
        self.no_repeated_trigram = no_repeated_trigram

    def __call__(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return the best caption of each image."""
        return self.candidates(generator, features, max_length=max_length, rng=rng).best

    def candidates(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Candidates:
        """Return the captions of all groups."""
        del rng
        return diverse_beam_search(
            generator, features, groups=self.groups, beam_size=self.beam_size, diversity=self.diversity,
            max_length=max_length, length_penalty=self.length_penalty, no_repeated_trigram=self.no_repeated_trigram,
        )  # fmt: skip


class Sampling:
    """One random caption an image."""

    def __init__(self, *, temperature: float, top_k: int, top_p: float) -> None:
        """Set the distribution; see `shape_distribution`.

        Args:
            temperature: logits are divided by it; at least 1e-6, below which they overflow.
            top_k: how many of the most probable words are kept, at least 0; 0 keeps all.
            top_p: the mass of the most probable words that are kept, in (0, 1]; 1 keeps all.
        """
        if not temperature >= 1e-6:
            raise ValueError(f"temperature={temperature}: at least 1e-6 (decoding=greedy is its limit)")
        if top_k < 0:
            raise ValueError(f"top_k={top_k}: 0 for all words, or how many to keep")
        proportion(top_p=top_p)
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p

    def __call__(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return one caption an image."""
        return self.several(generator, features, samples=1, max_length=max_length, rng=rng)

    def several(
        self, generator: Generator, features: ImageFeatures, *, samples: int, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return `samples` captions of each image, those of an image neighbours."""
        drawn = self.draw(generator, features, samples=samples, max_length=max_length, rng=rng)
        return drawn.of_images

    def draw(
        self, generator: Generator, features: ImageFeatures, *, samples: int, max_length: int, rng: torch.Generator
    ) -> Samples:
        """Return the same captions with the probabilities that their tokens were drawn with, each given its noise."""
        return sample_with_noise(
            generator, features, samples=samples, max_length=max_length, rng=rng,
            temperature=self.temperature, top_k=self.top_k, top_p=self.top_p,
        )  # fmt: skip

    @torch.no_grad()
    def log_probs(
        self, generator: Generator, features: ImageFeatures, captions: Captions, *, max_length: int,
        rng: torch.Generator,
    ) -> Tensor:  # fmt: skip
        """Return log q(caption | image), (N,), exactly; see `Sampler`. Of a generator with noise, at noise 0."""
        del max_length, rng
        return torch.cat([
            self._log_probs(generator, seen, part)
            for seen, part in parts_that_fit(generator, features, captions, copies=_SHAPED)
        ])  # fmt: skip

    def _log_probs(self, generator: Generator, features: ImageFeatures, captions: Captions) -> Tensor:
        logits = generator.logits(features, captions).float()
        shaped = (logits / self.temperature).log_softmax(1)  # at a low temperature probabilities underflow
        if self.top_k or self.top_p < 1:
            kept = shape_distribution(logits, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p) > 0
            shaped = shaped.masked_fill(~kept, -math.inf).log_softmax(1)
        own = token_log_probs(shaped, captions, first_word=generator.first_word)
        return captions.unpacked(own).sum(1)


class SeveralSamples:
    """Random captions to choose from, those of an image ranked by log p; Park et al. 2019 choose among such."""

    def __init__(self, *, samples: int, temperature: float, top_k: int, top_p: float) -> None:
        """Set the number of captions an image, and the distribution.

        Args:
            samples: captions of each image, at least 1.
            temperature: as in `Sampling`.
            top_k: as in `Sampling`.
            top_p: as in `Sampling`.
        """
        at_least(1, samples=samples)
        self.samples = samples
        self.sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)

    def candidates(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Candidates:
        """Return the samples; their log-probabilities are those of the distribution that they were drawn from."""
        drawn = self.sampling.draw(generator, features, samples=self.samples, max_length=max_length, rng=rng)
        log_probs = drawn.log_probs.sum(1)
        return Candidates(drawn.of_images, log_probs, log_probs).ranked_by(log_probs)


class Reranked:
    """The best of several captions in the eyes of judges; see `rerank`."""

    def __init__(self, *, proposer: Proposer, judges: dict[str, Judge], weights: dict[str, float]) -> None:
        """Set what proposes and what chooses.

        Args:
            proposer: a beam search, say.
            judges: by name; any reward of one number a caption, or a token, is one.
            weights: a number for each of these names, and for `own`, the proposer's own scores.

        Raises:
            ValueError: the names differ, or a judge is none; see `check_judge`.
        """
        if weights.keys() != {OWN, *judges}:
            raise ValueError(f"weights={dict(weights)}: one number for each of {', '.join([OWN, *judges])}")
        for judge in judges.values():
            check_judge(judge)
        self.proposer = proposer
        self.judges = [(judge, weights[name]) for name, judge in judges.items()]
        self.own_weight = weights[OWN]

    def __call__(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return the best caption of each image."""
        return self.candidates(generator, features, max_length=max_length, rng=rng).best

    def candidates(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Candidates:
        """Return the proposer's captions in their new order."""
        proposed = self.proposer.candidates(generator, features, max_length=max_length, rng=rng)
        return rerank(proposed, features, self.judges, own_weight=self.own_weight)
