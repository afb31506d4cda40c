"""Diverse beam search (Vijayakumar et al. 2018, arXiv 1610.02424), over all images of a batch at once.

Shapes: B images, G groups, k beams in each, V vocabulary, T the longest caption.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.data.captions import BOS, EOS, PAD, captions_from_tokens
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.beam import DEAD, Beams, Rules, advance, images_at_once
from gan_caption.decoding.candidates import Candidates
from gan_caption.decoding.fusion import word_scores
from gan_caption.generators.base import Generator
from gan_caption.generators.state import PolicyState

_NO_WORD = -1


@torch.no_grad()
def diverse_beam_search(
    generator: Generator,
    features: ImageFeatures,
    *,
    groups: int,
    beam_size: int,
    diversity: float,
    max_length: int,
    length_penalty: float = 0.0,
    no_repeated_trigram: bool = False,
) -> Candidates:
    """Search in groups, each of which avoids the words that the groups before it write at the same step.

    The groups take their step one after the other (algorithm 1). A beam of group g is ranked by log p - diversity *
    (how often groups 1 to g - 1 of its image chose its words, each at the same step): Hamming diversity. What a group
    chooses are the last words of its k best continuations; `<eos>` is not penalised, so that groups may end together.
    The penalties of all steps add up, as they do in fairseq and in transformers. Within a group everything else is as
    in `beam_search`; one group is beam search, and with diversity 0 all groups find the same.

    Args:
        generator: the policy, in eval mode.
        features: of B images.
        groups: G, at least 1.
        beam_size: k of each group, at least 1.
        diversity: lambda, not negative, in nats; the paper finds .2 to .8 to work well (section 5.1).
        max_length: in tokens, `<eos>` counted.
        length_penalty: ranks captions by log p / length ** length_penalty.
        no_repeated_trigram: see `beam_search`.

    Returns:
        G * k captions of each image (fewer where a group finds fewer), ranked together by log p, without the penalties,
        over length ** length_penalty. A caption that several groups found is there several times.
    """
    rules = Rules(beam_size, max_length, length_penalty, no_repeated_trigram)
    state = generator.start(features, max_length)
    at_once = images_at_once(generator, state, rows_each=groups * beam_size)
    parts = [_search(generator, part, rules, groups=groups, diversity=diversity) for part in state.split(at_once)]
    found, found_scores, chosen = map(torch.cat, zip(*parts, strict=True))

    penalties = diversity * _times_chosen_before(found, chosen)
    places = (found_scores > DEAD).nonzero(as_tuple=True)  # image, group, rank
    captions = captions_from_tokens(found[places], places[0])
    lengths = captions.lengths**length_penalty
    log_probs = found_scores[places] * lengths + penalties[places]
    candidates = Candidates(captions, log_probs / lengths, log_probs)
    return candidates.ranked_by(candidates.scores)


def _search(
    generator: Generator, state: PolicyState, rules: Rules, *, groups: int, diversity: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Search from a state with a row an image.

    Returns:
        the captions of all groups (B, G, k, T); what they are ranked by within their group, penalties included,
        (B, G, k); and what each group chose at each step (B, G, k, T), `_NO_WORD` where it chose nothing.
    """
    images, device, (beam_size, max_length, _, _) = len(state), state.images.device, rules
    found = torch.full((images, groups, beam_size, max_length), PAD, dtype=torch.long, device=device)
    found_scores = torch.full((images, groups, beam_size), DEAD, device=device)
    chosen = torch.full((images, groups, beam_size, max_length), _NO_WORD, dtype=torch.long, device=device)
    alive = torch.arange(images, device=device)  # the images whose search goes on; B counts these from here on
    first = Beams.begin(images, rules, device=device)
    searches = [first] * groups
    previous, rows = torch.full((images,), BOS, dtype=torch.long, device=device), torch.arange(images, device=device)

    for step in range(max_length):
        logits, state = generator.step(previous, state, rows)
        log_probs = word_scores(generator, logits).unflatten(
            0, (len(alive), 1 if step == 0 else groups, searches[0].scores.shape[1])
        )
        together = log_probs.shape[1] == 1  # (B, 1, 1, V - first): at first the groups are as one; then (B, G, k, ...)
        first_row = torch.arange(len(alive), device=device)[:, None] * log_probs.shape[1] * log_probs.shape[2]
        used = log_probs.new_zeros(len(alive), log_probs.shape[3])  # (B, V - first): chosen by the groups before
        words, parents = [], []
        for group in range(groups):
            own = 0 if together else group
            going = searches[group].done_count < beam_size
            penalised = log_probs[:, own] - diversity * used[:, None]
            searches[group], written = advance(
                searches[group], penalised, rules, step=step, first_word=generator.first_word
            )
            choice, scores = written.best_words[:, :beam_size], written.best_scores[:, :beam_size]
            counts = (choice != EOS) & (scores > DEAD) & going[:, None]
            used.scatter_add_(1, choice - generator.first_word, counts.to(used.dtype))
            chosen[alive, group, : choice.shape[1], step] = torch.where(counts, choice, _NO_WORD)
            found[alive, group] = searches[group].done_tokens
            found_scores[alive, group] = searches[group].done_scores
            words.append(written.words)
            parents.append(first_row + own * log_probs.shape[2] + written.parents)
        previous, rows = torch.cat(words, 1), torch.cat(parents, 1)  # (B, G * k)
        if device.type == "cpu":  # another device would have to wait for the answer
            done = torch.stack([search.done_count for search in searches], 1)
            left = (done < beam_size).any(1).nonzero()[:, 0]
            if len(left) == 0:
                break
            alive, previous, rows = alive[left], previous[left], rows[left]
            searches = [search.select(left) for search in searches]
        previous, rows = previous.flatten(), rows.flatten()
    return found, found_scores, chosen


def _times_chosen_before(tokens: Tensor, chosen: Tensor) -> Tensor:
    """Count how often the groups before a caption's own have chosen its words at the same steps.

    Args:
        tokens: (B, G, k, T) captions.
        chosen: (B, G, k, T) what each group chose at each step.

    Returns:
        (B, G, k) float.
    """
    counts = [
        (own[:, :, None] == chosen[:, :group].flatten(1, 2)[:, None]).sum((2, 3))  # (B, k, 1, T) == (B, 1, gk, T)
        for group, own in enumerate(tokens.unbind(1))
    ]
    return torch.stack(counts, 1).float()
