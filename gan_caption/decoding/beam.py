"""Beam search over all images of a batch at once. Shapes: B images, k beams, V vocabulary, t words so far."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.data.captions import BOS, EOS, PAD, Captions, captions_from_tokens
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.base import Generator

DEAD = float("-inf")


@torch.no_grad()
def beam_search(
    generator: Generator,
    features: ImageFeatures,
    *,
    beam_size: int,
    max_length: int,
    length_penalty: float = 0.0,
    no_repeated_trigram: bool = False,
) -> Captions:
    """Return the best finished caption of every image.

    At each step the k best continuations of an image are kept; those that end join its finished captions, ranked by
    log p / length ** length_penalty, and the search of an image ends with k finished ones. Captions that are
    still going at `max_length` compete too. With one beam this is greedy decoding.

    Args:
        generator: the policy, in eval mode.
        features: of B images.
        beam_size: k, at least 1.
        max_length: in tokens, `<eos>` counted.
        length_penalty: 0 ranks by log p, which favours short captions; 1 by the mean per token.
        no_repeated_trigram: forbid a caption to use the same three words in a row twice (Paulus et al. 2018,
            arXiv 1705.04304, section 2.5).
    """
    images = len(features)
    state = generator.anticipate(generator.start(features), images * beam_size * max_length)
    device = state.images.device

    found = torch.full((images, max_length), PAD, dtype=torch.long, device=device)
    alive = torch.arange(images, device=device)  # the images whose search goes on; B counts these from here on
    tokens = torch.full((images, 1, max_length), PAD, dtype=torch.long, device=device)  # all k beams begin as one
    scores = torch.zeros(images, 1, device=device)
    done_tokens = tokens.repeat(1, beam_size, 1)
    done_scores = torch.full((images, beam_size), DEAD, device=device)
    done_count = torch.zeros(images, dtype=torch.long, device=device)
    previous = torch.full((images,), BOS, dtype=torch.long, device=device)

    for step in range(max_length):
        beams = scores.shape[1]  # k, but for the first steps; so it is in the shapes below
        logits, state = generator.step(previous, state)
        log_probs = logits.log_softmax(1).unflatten(0, (len(alive), beams))  # (B, k, V)
        if no_repeated_trigram:
            log_probs = _forbid_trigrams(log_probs, tokens[:, :, :step])
        own, index = log_probs.topk(min(2 * beam_size, log_probs.shape[2]))  # (B, k, 2k): of each beam
        # 2k candidates: at most k of them end, so k that go on are always among them.
        best, place = (scores[..., None] + own).flatten(1).topk(min(2 * beam_size, beams * own.shape[2]))
        parent, word = place // index.shape[2], index.flatten(1).gather(1, place)  # (B, 2k)
        candidates = tokens.gather(1, parent[..., None].expand(-1, -1, max_length))
        candidates[:, :, step] = word

        ends = (word == EOS) & (torch.arange(word.shape[1], device=device) < beam_size)
        if step == max_length - 1:  # cut here: what goes on competes as it stands
            ends = torch.arange(word.shape[1], device=device).expand_as(word) < beam_size
        ends = ends & (best > DEAD) & (done_count < beam_size)[:, None]
        finished = (best / (step + 1) ** length_penalty).masked_fill(~ends, DEAD)
        done_scores, keep = torch.cat([done_scores, finished], 1).topk(beam_size)
        done_tokens = torch.cat([done_tokens, candidates], 1).gather(1, keep[..., None].expand(-1, -1, max_length))
        done_count = done_count + ends.sum(1)
        found[alive] = done_tokens[:, 0]

        scores, next_beams = best.masked_fill(word == EOS, DEAD).topk(min(beam_size, best.shape[1]))
        tokens = candidates.gather(1, next_beams[..., None].expand(-1, -1, max_length))
        first_row = torch.arange(len(alive), device=device)[:, None] * beams
        rows = first_row + parent.gather(1, next_beams)  # of the state, for each beam
        previous = word.gather(1, next_beams)
        if device.type == "cpu":  # another device would have to wait for the answer
            going = (done_count < beam_size).nonzero()[:, 0]
            if len(going) == 0:
                break
            alive, tokens, scores, previous, rows = (own[going] for own in (alive, tokens, scores, previous, rows))
            done_tokens, done_scores, done_count = (own[going] for own in (done_tokens, done_scores, done_count))
        previous, state = previous.flatten(), state.select(rows.flatten())

    return captions_from_tokens(found, torch.arange(images, device=device))


def _forbid_trigrams(log_probs: Tensor, tokens: Tensor) -> Tensor:
    """Put -inf on every word that would complete a trigram that its beam (B, k, t) holds already."""
    if tokens.shape[2] < 3:
        return log_probs
    repeats = (tokens[:, :, :-2] == tokens[:, :, -2:-1]) & (tokens[:, :, 1:-1] == tokens[:, :, -1:])  # (B, k, t - 2)
    banned = torch.zeros_like(log_probs).scatter_add(2, tokens[:, :, 2:], repeats.to(log_probs.dtype))
    return log_probs.masked_fill(banned > 0, DEAD)
