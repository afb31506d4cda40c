"""Sampling that gradients pass through: the Gumbel-softmax (Jang et al. 2017, arXiv 1611.01144; Maddison et al. 2017).

Shapes: B images, K captions of each, N = B * K, T steps, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import BOS, SoftCaptions, captions_from_tokens
from gan_caption.data.features import ImageFeatures
from gan_caption.distributed import world
from gan_caption.generators.base import Generator, over_vocabulary

Relaxation = Callable[[Tensor, Tensor], Tensor]
"""From relaxed words (N, V) and the words that were drawn (N,) to what is passed on (N, V)."""


def soft(relaxed: Tensor, drawn: Tensor) -> Tensor:
    """Pass the relaxed words on as they are (RelGAN, Nie et al. 2019)."""
    del drawn
    return relaxed


def straight_through(relaxed: Tensor, drawn: Tensor) -> Tensor:
    """Pass the drawn words on, with the gradient of the relaxed ones (Bengio et al. 2013; Shetty et al. 2017)."""
    chosen = torch.zeros_like(relaxed).scatter(1, drawn[:, None], 1.0)
    return chosen + (relaxed - relaxed.detach())  # the bracket is exactly 0: D sees words, not words and rounding


@dataclass(frozen=True)
class SoftSamples:
    """Captions that gradients pass through, and how they were drawn."""

    captions: SoftCaptions
    """N samples; those of one image are neighbours."""
    log_probs: Tensor
    """(N, T) of the drawn words under the policy, 0 on padding."""
    entropy: Tensor
    """Scalar: mean entropy of the policy's next-word distributions, nats a token."""


def soft_sample(
    generator: Generator,
    features: ImageFeatures,
    *,
    samples: int,
    max_length: int,
    rng: torch.Generator,
    temperature: float,
    relaxation: Relaxation,
) -> SoftSamples:
    """Draw K captions an image; the drawn words follow the policy exactly, whatever the temperature.

    Args:
        generator: must take weights over words in `step`.
        features: of B images, with noise already attached where the generator takes noise.
        samples: K.
        max_length: T, in tokens, `<eos>` counted.
        rng: a CPU generator.
        temperature: tau, above 0: relaxed words are softmax((logits + Gumbel noise) / tau).
        relaxation: `soft` or `straight_through`.
    """
    state = generator.start(features, max_length).repeat(samples)
    images = torch.arange(len(features), device=features.pooled.device).repeat_interleave(samples)
    tokens = torch.full_like(images, BOS)
    drawn, passed, log_probs, entropies = [], [], [], []
    for _ in range(max_length):
        logits, state = generator.step(tokens, state)
        logits = over_vocabulary(logits, first_word=generator.first_word)
        uniforms = world.draw(torch.rand, *logits.shape, rng=rng).to(logits)
        smallest = torch.finfo(logits.dtype).tiny
        noise = -(-uniforms.clamp(min=smallest).log()).clamp(min=smallest).log()
        perturbed = logits + noise
        words = perturbed.argmax(1)
        tokens = relaxation((perturbed / temperature).softmax(1), words)
        drawn.append(words)
        passed.append(tokens)
        own = logits.log_softmax(1)
        log_probs.append(own.gather(1, words[:, None])[:, 0])
        possible = own[:, generator.first_word :]
        entropies.append(-(possible.exp() * possible).sum(1))
    hard = captions_from_tokens(torch.stack(drawn, dim=1), images)
    length = hard.tokens.shape[1]
    mask = hard.mask
    weights = torch.stack(passed[:length], dim=1) * mask[..., None]
    entropy = torch.stack(entropies[:length], dim=1)[mask].mean()
    own = torch.stack(log_probs[:length], dim=1) * mask
    return SoftSamples(SoftCaptions(hard.tokens, hard.lengths, hard.images, weights), own, entropy)
