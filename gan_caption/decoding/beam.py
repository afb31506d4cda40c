"""Beam search over all images of a batch at once. Shapes: B images, k beams, V vocabulary, T the longest caption."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from gan_caption.data.captions import BOS, EOS, PAD, Captions, captions_from_tokens
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.candidates import Candidates
from gan_caption.decoding.fusion import word_scores
from gan_caption.decoding.memory import rows_at_once
from gan_caption.generators.base import Generator
from gan_caption.generators.state import PolicyState

DEAD = float("-inf")
_AT_ONCE = 192
"""Images that are searched for at once, at most: more bring nothing (`experiments/speed/beam`).

With five beams their rows are a number that `products.linear` need not fill up.
"""


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
    rules = Rules(beam_size, max_length, length_penalty, no_repeated_trigram)
    tokens, _ = _search(generator, features, rules, keep=1)
    return captions_from_tokens(tokens[:, 0], torch.arange(len(features), device=tokens.device))


def beam_candidates(
    generator: Generator,
    features: ImageFeatures,
    *,
    beam_size: int,
    max_length: int,
    length_penalty: float = 0.0,
    no_repeated_trigram: bool = False,
) -> Candidates:
    """Return all k finished captions of every image (fewer where there are no more): the search's n-best list.

    Args:
        generator: see `beam_search`, as everything else.
        features: of B images.
        beam_size: k, at least 1.
        max_length: in tokens, `<eos>` counted.
        length_penalty: of the scores that rank them.
        no_repeated_trigram: see `beam_search`.

    Returns:
        the captions; the first of an image is the one that `beam_search` returns.
    """
    rules = Rules(beam_size, max_length, length_penalty, no_repeated_trigram)
    tokens, scores = _search(generator, features, rules, keep=beam_size)
    images, places = (scores > DEAD).nonzero(as_tuple=True)
    captions, scores = captions_from_tokens(tokens[images, places], images), scores[images, places]
    return Candidates(captions, scores, scores * captions.lengths**length_penalty)


class Rules(NamedTuple):
    """What a search goes by; see `beam_search`."""

    beam_size: int
    max_length: int
    length_penalty: float
    no_repeated_trigram: bool


@torch.no_grad()
def _search(generator: Generator, features: ImageFeatures, rules: Rules, *, keep: int) -> tuple[Tensor, Tensor]:
    """Return the best `keep` captions (B, keep, T) and their scores (B, keep), -inf where there is none."""
    state = generator.start(features, rules.max_length)
    at_once = images_at_once(generator, state, rows_each=rules.beam_size)
    found = [_search_from(generator, part, rules, keep=keep) for part in state.split(at_once)]
    tokens, scores = zip(*found, strict=True)
    return torch.cat(tokens), torch.cat(scores)


def images_at_once(generator: Generator, state: PolicyState, *, rows_each: int) -> int:
    """Return how many images are searched for at once, with so many rows each."""
    words = generator.vocabulary_size - generator.first_word
    return min(max(rows_at_once(state, words=words) // rows_each, 1), _AT_ONCE)


def _search_from(generator: Generator, state: PolicyState, rules: Rules, *, keep: int) -> tuple[Tensor, Tensor]:
    """Search from a state with a row an image; see `_search`."""
    images, device = len(state), state.images.device
    found = torch.full((images, keep, rules.max_length), PAD, dtype=torch.long, device=device)
    found_scores = torch.full((images, keep), DEAD, device=device)
    alive = torch.arange(images, device=device)  # the images whose search goes on; B counts these from here on
    beams = Beams.begin(images, rules, device=device)
    previous, rows = torch.full((images,), BOS, dtype=torch.long, device=device), torch.arange(images, device=device)

    for step in range(rules.max_length):
        first_row = torch.arange(len(alive), device=device)[:, None] * beams.scores.shape[1]
        logits, state = generator.step(previous, state, rows)
        log_probs = word_scores(generator, logits).unflatten(0, beams.scores.shape)  # (B, k, V - first_word)
        beams, written = advance(beams, log_probs, rules, step=step, first_word=generator.first_word)
        found[alive], found_scores[alive] = beams.done_tokens[:, :keep], beams.done_scores[:, :keep]
        words, rows = written.words, first_row + written.parents  # the rows of the state, for each beam
        if device.type == "cpu":  # another device would have to wait for the answer
            going = (beams.done_count < rules.beam_size).nonzero()[:, 0]
            if len(going) == 0:
                break
            alive, words, rows, beams = alive[going], words[going], rows[going], beams.select(going)
        previous, rows = words.flatten(), rows.flatten()
    return found, found_scores


@dataclass(frozen=True)
class Beams:
    """Where the search of B images stands: the captions that go on, and those that have ended."""

    tokens: Tensor
    """(B, k, T) long: what the beams have written. All begin as one, so k is less in the first steps."""
    scores: Tensor
    """(B, k) float: sums of log-probabilities; -inf where there is no beam."""
    done_tokens: Tensor
    """(B, k, T) long: the finished captions, the best first."""
    done_scores: Tensor
    """(B, k) float: what they are ranked by; -inf where there is none yet."""
    done_count: Tensor
    """(B,) long: captions that have ended; with k of them the search of an image is over."""

    @classmethod
    def begin(cls, images: int, rules: Rules, *, device: torch.device) -> Beams:
        """Return one empty beam an image."""
        tokens = torch.full((images, 1, rules.max_length), PAD, dtype=torch.long, device=device)
        return cls(
            tokens,
            torch.zeros(images, 1, device=device),
            tokens.repeat(1, rules.beam_size, 1),
            torch.full((images, rules.beam_size), DEAD, device=device),
            torch.zeros(images, dtype=torch.long, device=device),
        )

    def select(self, images: Tensor) -> Beams:
        """Return the search of these images (indices)."""
        return Beams(*(getattr(self, field.name)[images] for field in fields(self)))


class Written(NamedTuple):
    """What a step of the search wrote."""

    parents: Tensor
    """(B, k) long: of each beam that goes on, the beam that it continues."""
    words: Tensor
    """(B, k) long: its new word."""
    best_words: Tensor
    """(B, 2k) long: the last word of the best continuations, those that end among them, the best first."""
    best_scores: Tensor
    """(B, 2k) float: their scores."""


def advance(beams: Beams, log_probs: Tensor, rules: Rules, *, step: int, first_word: int) -> tuple[Beams, Written]:
    """Write one more token.

    Args:
        beams: of B images, `step` tokens long.
        log_probs: (B, k, V - first_word) of the next token, after each beam.
        rules: of the search.
        step: counted from 0.
        first_word: the id of the word whose log-probabilities come first.

    Returns:
        the beams, and what was written.
    """
    beam_size, max_length, length_penalty, _ = rules
    tokens, scores = beams.tokens, beams.scores
    device = tokens.device
    if rules.no_repeated_trigram:
        log_probs = _forbid_trigrams(log_probs, tokens[:, :, :step] - first_word)
    own, index = log_probs.topk(min(2 * beam_size, log_probs.shape[2]))  # (B, k, 2k): of each beam
    # 2k candidates: at most k of them end, so k that go on are always among them.
    best, place = (scores[..., None] + own).flatten(1).topk(min(2 * beam_size, scores.shape[1] * own.shape[2]))
    parent, word = place // index.shape[2], index.flatten(1).gather(1, place) + first_word  # (B, 2k)
    candidates = tokens.gather(1, parent[..., None].expand(-1, -1, max_length))
    candidates[:, :, step] = word

    ends = (word == EOS) & (torch.arange(word.shape[1], device=device) < beam_size)
    if step == max_length - 1:  # cut here: what goes on competes as it stands
        ends = torch.arange(word.shape[1], device=device).expand_as(word) < beam_size
    ends = ends & (best > DEAD) & (beams.done_count < beam_size)[:, None]
    finished = (best / (step + 1) ** length_penalty).masked_fill(~ends, DEAD)
    done_scores, kept = torch.cat([beams.done_scores, finished], 1).topk(beam_size)
    done_tokens = torch.cat([beams.done_tokens, candidates], 1).gather(1, kept[..., None].expand(-1, -1, max_length))

    scores, goes_on = best.masked_fill(word == EOS, DEAD).topk(min(beam_size, best.shape[1]))
    tokens = candidates.gather(1, goes_on[..., None].expand(-1, -1, max_length))
    advanced = Beams(tokens, scores, done_tokens, done_scores, beams.done_count + ends.sum(1))
    return advanced, Written(parent.gather(1, goes_on), word.gather(1, goes_on), word, best)


def _forbid_trigrams(log_probs: Tensor, tokens: Tensor) -> Tensor:
    """Put -inf on every word that would complete a trigram that its beam (B, k, t) holds already: log_probs' places."""
    if tokens.shape[2] < 3:
        return log_probs
    repeats = (tokens[:, :, :-2] == tokens[:, :, -2:-1]) & (tokens[:, :, 1:-1] == tokens[:, :, -1:])  # (B, k, t - 2)
    banned = torch.zeros_like(log_probs).scatter_add(2, tokens[:, :, 2:], repeats.to(log_probs.dtype))
    return log_probs.masked_fill(banned > 0, DEAD)
