"""The most probable next word, again and again. Shapes: B images, T steps."""

from __future__ import annotations

import torch

from gan_caption.data.captions import BOS, EOS, PAD, Captions, captions_from_tokens
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.base import Generator


@torch.no_grad()
def greedy(generator: Generator, features: ImageFeatures, *, max_length: int) -> Captions:
    """Return one caption an image, in at most `max_length` tokens, `<eos>` counted."""
    images = torch.arange(len(features), device=features.pooled.device)
    state = generator.start(features, max_length)
    alive = images
    previous = torch.full_like(images, BOS)
    written = torch.full((len(images), max_length), PAD, dtype=torch.long, device=images.device)
    for step in range(max_length):
        logits, state = generator.step(previous, state)
        previous = logits.argmax(1) + generator.first_word
        written[alive, step] = previous
        if images.device.type != "cpu":  # asking which captions go on would make the device wait
            continue
        going = (previous != EOS).nonzero()[:, 0]
        if len(going) == 0:
            break
        if len(going) < len(alive):
            alive, previous, state = alive[going], previous[going], state.select(going)
    return captions_from_tokens(written, images)
