"""Captions with one word changed: negatives that differ from a true caption as little as may be.

Shapes: N captions, T steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.data.captions import EOS, Captions
from gan_caption.distributed import world


def edited(captions: Captions, *, words: Tensor, rng: torch.Generator) -> tuple[Captions, Tensor]:
    """Replace exactly one word of each caption, drawn uniformly, by another one.

    Args:
        captions: N; those without a word are left out.
        words: (M,) long, ids to draw from, each as often as it stands there: a batch's own words are drawn by their
            frequency in training.
        rng: a CPU generator.

    Returns:
        the changed captions, and the place (N,) long, 0 to T - 1, of the word that was changed. It may be true still.

    Raises:
        ValueError: a caption's word has no other that could replace it.
    """
    is_word = captions.tokens > EOS
    captions, is_word = captions.select(is_word.any(1)), is_word[is_word.any(1)]
    uniforms = world.draw(torch.rand, len(captions), 2, rng=rng).to(captions.tokens.device)
    counts = is_word.sum(1)
    chosen = (uniforms[:, 0] * counts).long().clamp(max=counts - 1)
    places = (is_word.cumsum(1) > chosen[:, None]).long().argmax(1)
    rows = torch.arange(len(captions), device=places.device)
    words = words.sort().values
    first, after = (torch.searchsorted(words, captions.tokens[rows, places], right=right) for right in (False, True))
    others = len(words) - (after - first)
    if (others < 1).any():
        raise ValueError("every word that could replace one is the same word: give captions with more words")
    drawn = (uniforms[:, 1] * others).long().clamp(max=others - 1)
    drawn = torch.where(drawn >= first, drawn + (after - first), drawn)
    tokens = captions.tokens.index_put((rows, places), words[drawn])
    return Captions(tokens, captions.lengths, captions.images), places
