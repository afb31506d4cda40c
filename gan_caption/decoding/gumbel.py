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

Passing = Callable[[Tensor, Tensor], Tensor]
"""From relaxed words (N, V) and the words that were drawn (N,) to what is passed on: (N, V), or words (N,)."""


def soft(relaxed: Tensor, drawn: Tensor) -> Tensor:
    """Pass the relaxed words on as they are."""
    del drawn
    return relaxed


def hard(relaxed: Tensor, drawn: Tensor) -> Tensor:
    """Pass the drawn words on (N,), and no gradient."""
    del relaxed
    return drawn


def straight_through(relaxed: Tensor, drawn: Tensor) -> Tensor:
    """Pass the drawn words on, with the gradient of the relaxed ones (Bengio et al. 2013; Shetty et al. 2017)."""
    chosen = torch.zeros_like(relaxed).scatter(1, drawn[:, None], 1.0)
    return chosen + (relaxed - relaxed.detach())  # the bracket is exactly 0: D sees words, not words and rounding


@dataclass(frozen=True)
class Relaxation:
    """What becomes of a drawn word."""

    read: Passing
    """What the next step reads of it."""
    judged: Passing
    """What D is given of it, (N, V)."""


SOFT = Relaxation(read=soft, judged=soft)
"""Relaxed words for both: the Gumbel-softmax."""
STRAIGHT_THROUGH = Relaxation(read=straight_through, judged=straight_through)
"""Drawn words for both, with the gradient of the relaxed ones."""
HARD_FEEDBACK = Relaxation(read=hard, judged=soft)
"""RelGAN's (Nie et al. 2019, github.com/weilinie/RelGAN): the policy goes on from the words that it drew, D is given
the relaxed ones. Gradients come through what D is given, and through the state."""


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
    sharpness: float,
    relaxation: Relaxation,
) -> SoftSamples:
    """Draw K captions an image; with a sharpness of 1 the drawn words follow the policy, whatever the temperature.

    With `SOFT` they do so after what was read, which is no words.

    Args:
        generator: must take weights over words in `step`.
        features: of B images, with noise already attached where the generator takes noise.
        samples: K.
        max_length: T, in tokens, `<eos>` counted.
        rng: a CPU generator.
        temperature: tau, above 0: relaxed words are softmax((sharpness * logits + Gumbel noise) / tau).
        sharpness: above 0; logits are multiplied by it before words are drawn.
        relaxation: `SOFT`, `STRAIGHT_THROUGH` or `HARD_FEEDBACK`.
    """
    state = generator.start(features, max_length).repeat(samples)
    images = torch.arange(len(features), device=features.pooled.device).repeat_interleave(samples)
    tokens = torch.full_like(images, BOS)
    drawn, judged, log_probs, entropies = [], [], [], []
    for _ in range(max_length):
        logits, state = generator.step(tokens, state)
        logits = over_vocabulary(logits, first_word=generator.first_word)
        # float32 where logits are bfloat16, too: two uniforms of a thousand would round to 1, and their words win.
        uniforms = world.draw(torch.rand, *logits.shape, rng=rng).to(logits.device, non_blocking=True)
        smallest = torch.finfo(uniforms.dtype).tiny
        noise = -(-uniforms.clamp(min=smallest).log()).clamp(min=smallest).log()
        perturbed = sharpness * logits + noise
        words = perturbed.argmax(1)
        relaxed = (perturbed / temperature).softmax(1)
        tokens = relaxation.read(relaxed, words)
        drawn.append(words)
        judged.append(relaxation.judged(relaxed, words))
        own = logits.log_softmax(1, dtype=perturbed.dtype)
        log_probs.append(own.gather(1, words[:, None])[:, 0])
        possible = own[:, generator.first_word :]
        entropies.append(-(possible.exp() * possible).sum(1))
    found = captions_from_tokens(torch.stack(drawn, dim=1), images)
    length = found.tokens.shape[1]
    mask = found.mask
    weights = torch.stack(judged[:length], dim=1) * mask[..., None]
    entropy = found.packed(torch.stack(entropies[:length], dim=1)).mean()
    own = torch.stack(log_probs[:length], dim=1) * mask
    return SoftSamples(SoftCaptions(found.tokens, found.lengths, found.images, weights), own, entropy)
