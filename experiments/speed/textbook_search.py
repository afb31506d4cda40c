"""Beam search of one image as tutorials have it, its beams in one batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gan_caption.data.captions import BOS, EOS

Scores = Callable[[list[list[int]], Tensor], Tensor]
"""Of beams (N lists of ids, all as long) and the beams (N,) that they continue, counted as they were a word before, the
log-probabilities (N, W) of the next word, `EOS` the first of them."""


@torch.no_grad()
def search(scores: Scores, *, beams: int, length: int, penalty: float) -> list[int]:
    """Return the words of the caption that is found; a caption's score is divided by its length^penalty."""
    going: list[list[int]] = [[BOS]]
    totals, parents = torch.zeros(1), torch.zeros(1, dtype=torch.long)
    finished: list[tuple[float, list[int]]] = []
    for step in range(1, length + 1):
        log_probs = scores(going, parents)
        best, places = (totals[:, None] + log_probs).flatten().topk(min(2 * beams, log_probs.numel()))
        after: list[tuple[float, int, list[int]]] = []
        for rank, (score, at) in enumerate(zip(best.tolist(), places.tolist(), strict=True)):
            parent, word = at // log_probs.shape[1], at % log_probs.shape[1] + EOS
            if word == EOS or step == length:
                if rank < beams and len(finished) < beams:
                    finished.append((score / step**penalty, [*going[parent], word]))
            elif len(after) < beams:
                after.append((score, parent, [*going[parent], word]))
        if len(finished) == beams or not after:
            break
        totals, parents = torch.tensor([score for score, _, _ in after]), torch.tensor([own for _, own, _ in after])
        going = [words for _, _, words in after]
    return [word for word in max(finished)[1] if word > EOS]
