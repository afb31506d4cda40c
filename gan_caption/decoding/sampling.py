"""Drawing captions from a generator.

Shapes: B images, K captions of each, N = B * K, T steps, V vocabulary.
All random numbers of a call are drawn at once from one CPU generator, one for each row and step: a caption depends
on its own numbers alone, not on which rows share its batch or have finished, nor on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gan_caption.data.captions import BOS, EOS, PAD, Captions, captions_from_tokens
from gan_caption.data.features import ImageFeatures
from gan_caption.distributed import world
from gan_caption.generators.base import DecoderState, Generator

_BLOCK = 64
"""Words whose probabilities are added up before any is looked at."""


def pick(probabilities: Tensor, uniforms: Tensor, rows: Tensor | None = None) -> Tensor:
    """Draw tokens by inverse CDF: first a block of words, then a word of it.

    The law is that of `torch.multinomial`, at a fraction of its cost on a CPU.

    Args:
        probabilities: (S, V), not negative; rows need not sum to one.
        uniforms: (N,) in [0, 1).
        rows: (N,) long, the row that each number draws from; None: N is S, and each draws from its own.

    Returns:
        (N,) long; a token of probability zero is never drawn.
    """
    states, words = probabilities.shape
    rows = torch.arange(states, device=probabilities.device) if rows is None else rows
    whole = words // _BLOCK * _BLOCK
    masses = probabilities[:, :whole].unflatten(1, (whole // _BLOCK, _BLOCK)).sum(2)
    if whole < words:
        masses = torch.cat([masses, probabilities[:, whole:].sum(1, keepdim=True)], dim=1)
    reached = masses.cumsum(1).index_select(0, rows)  # (N, blocks)
    threshold = uniforms[:, None] * reached[:, -1:]
    block = _first_beyond(reached, threshold)
    before = reached.gather(1, (block - 1).clamp(min=0)) * (block > 0)
    inside = block * _BLOCK + torch.arange(_BLOCK, device=rows.device)  # (N, _BLOCK)
    places = rows[:, None] * words + inside.clamp(max=words - 1)
    own = probabilities.flatten().index_select(0, places.flatten()).view(places.shape).masked_fill(inside >= words, 0)
    return (block * _BLOCK + _first_beyond(own.cumsum(1), threshold - before))[:, 0]


def _first_beyond(cumulative: Tensor, threshold: Tensor) -> Tensor:
    """Return the first place (N, 1) at which cumulative masses (N, C) exceed a threshold (N, 1): its own is above 0."""
    places = torch.searchsorted(cumulative, threshold, right=True)
    # Rounding may put the threshold on the total itself; the place that reaches it is then the answer.
    last = torch.searchsorted(cumulative, cumulative[:, -1:].contiguous())
    return torch.minimum(places, last)


def shape_distribution(logits: Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Return the probabilities (N, V) to sample from.

    Args:
        logits: (N, V).
        temperature: above 0; logits are divided by it first.
        top_k: keep the k most probable tokens (Fan et al. 2018, arXiv 1805.04833); 0 keeps all.
        top_p: then keep the smallest set whose mass reaches it, in (0, 1] (nucleus sampling, Holtzman et al. 2020,
            arXiv 1904.09751).
    """
    probabilities = (logits if temperature == 1 else logits / temperature).softmax(1)
    if top_k and top_k < probabilities.shape[1]:
        kept = probabilities.topk(top_k, dim=1)
        probabilities = torch.zeros_like(probabilities).scatter(1, kept.indices, kept.values)
        probabilities = probabilities / probabilities.sum(1, keepdim=True)
    if top_p < 1:
        ordered, order = probabilities.sort(1, descending=True)
        before = ordered.cumsum(1) - ordered  # the mass ahead of each token
        probabilities = torch.zeros_like(probabilities).scatter(1, order, ordered.masked_fill(before >= top_p, 0))
        probabilities = probabilities / probabilities.sum(1, keepdim=True)
    return probabilities


def attach_noise(
    generator: Generator, features: ImageFeatures, *, samples: int, rng: torch.Generator
) -> tuple[ImageFeatures, int]:
    """Give every sample its own noise vector, where the generator has one.

    Returns:
        the features to condition on, and how many samples to draw for each of their rows: with noise, features of
        B * K rows and 1; without, the features as they came and K.
    """
    if not generator.noise_size:
        return features, samples
    rows = torch.arange(len(features)).repeat_interleave(samples)
    noise = world.draw(torch.randn, len(rows), generator.noise_size, rng=rng)
    device = features.pooled.device
    return replace(features.select(rows.to(device)), noise=noise.to(device)), 1


@dataclass(frozen=True)
class Samples:
    """Captions, and how probable each of their tokens was when it was drawn."""

    captions: Captions
    """N of them."""
    log_probs: Tensor
    """(N, T), 0 on padding; under the distribution that was sampled from: the policy itself at temperature 1."""


@torch.no_grad()
def sample(
    generator: Generator,
    features: ImageFeatures,
    *,
    samples: int,
    max_length: int,
    rng: torch.Generator,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Samples:
    """Draw K captions for every image, word by word, without gradients.

    Args:
        generator: in eval mode; see `continue_captions`.
        features: of B images, with noise already attached where the generator takes noise.
        samples: K.
        max_length: T, in tokens, `<eos>` counted.
        rng: a CPU generator.
        temperature: see `shape_distribution`.
        top_k: see `shape_distribution`.
        top_p: see `shape_distribution`.

    Returns:
        B * K captions, the samples of one image neighbours.
    """
    state = generator.start(features)
    logits, state = generator.packed_step(torch.full_like(state.images, BOS), state)
    copies = torch.arange(len(features), device=logits.device).repeat_interleave(samples)
    uniforms = world.draw(torch.rand, len(copies), max_length, rng=rng).to(logits.device)
    tokens, log_probs = continue_captions(
        generator, logits, state, copies, uniforms=uniforms,
        temperature=temperature, top_k=top_k, top_p=top_p,
    )  # fmt: skip
    captions = captions_from_tokens(tokens, copies)
    return Samples(captions, log_probs[:, : captions.tokens.shape[1]])


@torch.no_grad()
def continue_captions(
    generator: Generator,
    logits: Tensor,
    state: DecoderState,
    begins: Tensor,
    *,
    uniforms: Tensor,
    limits: Tensor | None = None,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Sample on from given states until every row has ended.

    On a CPU, rows that have drawn the same words after the same state share a state until they part, and finished rows
    leave the batch.

    Args:
        generator: the policy, in eval mode or without dropout: what it does with a state is a function of the words.
        logits: (S, V - first_word) of the first token to draw after each state, as `Generator.packed_step` makes them.
        state: of S rows, after everything before that token.
        begins: (N,) long, ascending, 0 to S - 1: where each row begins.
        uniforms: (N, T) in [0, 1), one for each token to draw.
        limits: (N,) long, 1 to T: the most tokens a row may draw; T for all where nothing is given.
        temperature: see `shape_distribution`.
        top_k: see `shape_distribution`.
        top_p: see `shape_distribution`.

    Returns:
        (N, T) tokens, `PAD` after a row's last, and (N, T) the logarithms of their probabilities, 0 after it.
    """
    limits = torch.full_like(begins, uniforms.shape[1]) if limits is None else limits
    # Shapes that follow from what was drawn save work, and make any other device than a CPU wait at every word.
    draw = _draw_sharing if logits.device.type == "cpu" else _draw_side_by_side
    return draw(
        generator, logits, state, begins, uniforms, limits,
        lambda own: shape_distribution(own, temperature=temperature, top_k=top_k, top_p=top_p),
    )  # fmt: skip


Distribution = Callable[[Tensor], Tensor]
"""From logits (S, V - first_word) to the probabilities to sample from."""


def _draw_sharing(
    generator: Generator,
    logits: Tensor,
    state: DecoderState,
    begins: Tensor,
    uniforms: Tensor,
    limits: Tensor,
    distribution: Distribution,
) -> tuple[Tensor, Tensor]:
    """Draw with one state for all rows that have drawn the same words, and none for rows that have ended."""
    written = torch.full(uniforms.shape, PAD, dtype=torch.long, device=logits.device)
    log_probs = logits.new_zeros(uniforms.shape)
    alive = torch.arange(len(uniforms), device=logits.device)
    place = begins  # of each row that goes on, its state
    for step in range(uniforms.shape[1]):
        probabilities = distribution(logits)
        words = pick(probabilities, uniforms[alive, step], place)
        tokens = words + generator.first_word
        written[alive, step] = tokens
        log_probs[alive, step] = probabilities[place, words].log()
        going = ((tokens != EOS) & (limits[alive] > step + 1)).nonzero()[:, 0]
        if len(going) == 0:
            break
        alive = alive[going]
        vocabulary = generator.vocabulary_size
        pairs, place = torch.unique(place[going] * vocabulary + tokens[going], return_inverse=True)
        logits, state = generator.packed_step(pairs % vocabulary, state, pairs // vocabulary)
    return written, log_probs


def _draw_side_by_side(
    generator: Generator,
    logits: Tensor,
    state: DecoderState,
    begins: Tensor,
    uniforms: Tensor,
    limits: Tensor,
    distribution: Distribution,
) -> tuple[Tensor, Tensor]:
    """Draw with a state for every row to the last step, in shapes that are known beforehand."""
    logits, state = logits.index_select(0, begins), state.select(begins)
    alive = torch.ones_like(begins, dtype=torch.bool)
    written, log_probs = [], []
    for step, numbers in enumerate(uniforms.unbind(1)):
        probabilities = distribution(logits)
        words = pick(probabilities, numbers)
        tokens = words + generator.first_word
        written.append(torch.where(alive, tokens, PAD))
        log_probs.append(probabilities.gather(1, words[:, None])[:, 0].log() * alive)
        alive = alive & (tokens != EOS) & (limits > step + 1)
        if step + 1 < uniforms.shape[1]:
            logits, state = generator.packed_step(tokens, state)
    return torch.stack(written, dim=1), torch.stack(log_probs, dim=1)
