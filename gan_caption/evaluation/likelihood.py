"""How probable a captioner, or what resamples it, finds people's captions. Shapes: B images, N captions in all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.decoders import Sampler, Sampling
from gan_caption.decoding.resampling import Resampling
from gan_caption.decoding.reweighted import Reweighted
from gan_caption.generators.base import Generator, token_log_probs
from gan_caption.generators.parts import parts_that_fit

ENDS = ("low", "high")
"""Of what is known from below and from above."""


def has_limit(sampler: Sampler, generator: Generator) -> TypeGuard[Resampling]:
    """Tell whether a distribution is a resampled one that comes to p w / Z, with p known and not cut off."""
    return isinstance(sampler, Resampling) and sampler.has_limit() and not generator.noise_size


@dataclass(frozen=True)
class ReferenceNLL:
    """Of people's captions of a batch of images; unknown words are not scored."""

    nats: float
    """Of all, under the distribution that is sampled from; of a policy with noise at noise 0, which is no density of
    what it writes."""
    tokens: float
    """That were scored."""
    limit: list[tuple[float, float]]
    """(B,) nats of each image's captions under p(x) w(x) / Z, what resampling comes to with ever more candidates: at
    least and at most, in expectation. Empty where that is not asked or not known."""

    @property
    def ends(self) -> tuple[float, float]:
        """The limit of all images."""
        low, high = map(sum, zip(*self.limit, strict=True)) if self.limit else (0.0, 0.0)
        return low, high


def reference_nll(
    generator: Generator, features: ImageFeatures, captions: Captions, sampler: Sampling | Reweighted, *,
    max_length: int, rng: torch.Generator,
) -> ReferenceNLL:  # fmt: skip
    """Score captions (N) of a batch.

    Args:
        generator: p, in eval mode.
        features: of B images.
        captions: of these images.
        sampler: p's temperature, or what reweighs p's samples. Of reweighed samples of a cut-off p there is no number
            (NaN), as what is never proposed has no likelihood; nor of those of a p with noise, whose samples have a
            noise each, and whose density is known at noise 0 alone.
        max_length: of these samples, in tokens.
        rng: draws them, all batches' from one, so that what is wrong with the estimates is independent.
    """
    proposals = sampler.proposals if isinstance(sampler, Reweighted) else sampler
    log_probs = _log_probs(generator, features, captions, proposals.temperature)
    said = captions.packed(captions.tokens) >= generator.first_word
    scored = log_probs[said]
    total, tokens = scored.sum(), float(len(scored))
    if not isinstance(sampler, Reweighted):
        return ReferenceNLL(-total.item(), tokens, [])
    if proposals.top_k or proposals.top_p < 1 or generator.noise_size:
        return ReferenceNLL(math.nan, tokens, [])
    own = proposals.log_probs(generator, features, captions, max_length=max_length, rng=rng)
    weighed = sampler.weigh(generator, features, captions, own, max_length=max_length, rng=rng)
    total = total + sampler.log_gains(weighed).sum()
    if not has_limit(sampler, generator):
        return ReferenceNLL(-total.item(), tokens, [])
    plain = captions.unpacked(log_probs.masked_fill(~said, 0)).sum(1).double()
    ends = torch.stack([-plain - gain for gain in reversed(sampler.limit(weighed))], 1)  # (N, 2)
    limit = ends.new_zeros(len(features), 2).index_add(0, captions.images, ends)
    return ReferenceNLL(-total.item(), tokens, [(low, high) for low, high in limit.tolist()])


def _log_probs(generator: Generator, features: ImageFeatures, captions: Captions, temperature: float) -> Tensor:
    """Return log p of the tokens (M,), in parts whose logits fit into memory."""
    found = []
    for seen, part in parts_that_fit(generator, features, captions, copies=2):  # logits, and their softmax
        packed = (generator.logits(seen, part) / temperature).log_softmax(1)
        found.append(token_log_probs(packed, part, first_word=generator.first_word))
    return torch.cat(found)


def limit_metrics(ends: Sequence[float], *, tokens: float, captions: float) -> dict[str, float]:
    """Return the metrics of a limit, at least and at most, in nats of all captions."""
    return {
        f"limit_nll_per_{unit}_{end}": nats / count
        for end, nats in zip(ENDS, ends, strict=True)
        for unit, count in (("token", tokens), ("caption", captions))
    }
