"""Monte Carlo completions of every prefix of sampled captions.

Shapes: N captions, T steps, n rollouts a prefix, M unfinished prefixes, L longest allowed caption.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import PAD, Captions, captions_from_tokens
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.memory import rollout_memory, rows_at_once
from gan_caption.decoding.sampling import continue_captions
from gan_caption.distributed import world
from gan_caption.generators.base import Generator


@dataclass(frozen=True)
class Completions:
    """Completed captions, and the prefix that each one completes."""

    captions: Captions
    """M * n captions; their images count within the same features as the original captions'."""
    rows: Tensor
    """(M * n,) long: the original caption of each."""
    steps: Tensor
    """(M * n,) long: the index of the last token of its prefix, 0 to T - 1."""


@torch.no_grad()
def complete_prefixes(
    generator: Generator,
    features: ImageFeatures,
    captions: Captions,
    *,
    rollouts: int,
    max_length: int,
    rng: torch.Generator,
    memory: int | None = None,
) -> Completions:
    """Complete every unfinished prefix of every caption n times (SeqGAN, Yu et al. 2017, eq. 4).

    The prefix y_1..y_t is unfinished when t is below both its caption's length and L; a prefix that ends with the
    caption's last token IS the caption. Prefixes are not run again: the policy's state is forked after each of them,
    forks move forward side by side, as many as `memory` holds, and on a CPU finished ones leave.

    Args:
        generator: the rollout policy, in eval mode.
        features: of the images of `captions`.
        captions: N sampled captions, of at most `max_length` tokens.
        rollouts: n, at least 1.
        max_length: L, in tokens, `<eos>` counted.
        rng: a CPU generator.
        memory: the most bytes that states and next-word logits take at once; does not change the result. None: what
            `rollout_memory` finds fastest.

    Returns:
        the completions, ordered by (caption, prefix, rollout).
    """
    device = captions.tokens.device

    def sent(*indices: Tensor) -> Iterator[Tensor]:
        return (index.to(device, non_blocking=True) for index in indices)

    length = captions.tokens.shape[1]
    # What follows from the lengths is worked out on the host, which asks another device for nothing but them.
    unfinished = torch.arange(length) < captions.lengths.cpu()[:, None] - 1  # (N, T)
    rows, steps = (index.repeat_interleave(rollouts) for index in unfinished.nonzero(as_tuple=True))
    uniforms = world.draw(torch.rand, len(rows), max_length, rng=rng).to(device, non_blocking=True)

    start = generator.start(features, max_length)
    written = torch.full((len(rows), max_length), PAD, dtype=torch.long, device=device)
    memory = rollout_memory(generator, device) if memory is None else memory
    at_once = rows_at_once(start, words=generator.vocabulary_size - generator.first_word, memory=memory)
    size = max(at_once // length, 1)
    for first in range(0, len(captions), size):
        own_rows = ((rows >= first) & (rows < first + size)).nonzero()[:, 0]
        if not len(own_rows):  # captions of one word
            continue
        part = torch.arange(first, min(first + size, len(captions)), device=device)
        logits, state = generator.after_each_prefix(captions.select(part), start)
        for chunk in own_rows.split(at_once):
            forks, begins = torch.unique((rows[chunk] - first) * length + steps[chunk], return_inverse=True)
            limits = max_length - 1 - steps[chunk]  # tokens that still fit
            most = int(limits.max())
            chunk, forks, begins, limits = sent(chunk, forks, begins, limits)
            forked = logits.index_select(0, forks), state.select(forks)
            drawn, _ = continue_captions(generator, *forked, begins, uniforms=uniforms[chunk, :most], limits=limits)
            written[chunk, :most] = drawn

    rows, steps, positions = sent(rows, steps, torch.arange(max_length))
    own = torch.nn.functional.pad(captions.tokens, (0, max_length - length), value=PAD)[rows]
    after = positions - steps[:, None] - 1  # (M * n, L): the place of each position within what was written
    tokens = torch.where(after < 0, own, written.gather(1, after.clamp(min=0)))
    return Completions(captions_from_tokens(tokens, captions.images[rows]), rows, steps)
