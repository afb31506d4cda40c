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
from gan_caption.decoding.memory import rows_at_once
from gan_caption.distributed import world
from gan_caption.generators.base import Generator, NoiseLaw
from gan_caption.generators.state import PolicyState
from gan_caption.kernels.picking import pick


def shape_distribution(logits: Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Return the probabilities (N, V) to sample from, float32.

    Args:
        logits: (N, V), of any precision.
        temperature: above 0; logits are divided by it first.
        top_k: keep the k most probable tokens (Fan et al. 2018, arXiv 1805.04833); 0 keeps all.
        top_p: then keep the smallest set whose mass reaches it, in (0, 1] (nucleus sampling, Holtzman et al. 2020,
            arXiv 1904.09751).
    """
    logits = logits.float()
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
    noise = draw_noise(len(rows), generator.noise_size, law=generator.noise_law, rng=rng)
    device = features.pooled.device
    return replace(features.select(rows.to(device)), noise=noise.to(device)), 1


def draw_noise(rows: int, size: int, *, law: NoiseLaw, rng: torch.Generator) -> Tensor:
    """Return noise vectors (rows, size), their numbers independent, of mean 0; see `NoiseLaw`."""
    if law == "uniform":
        return 2 * world.draw(torch.rand, rows, size, rng=rng) - 1
    return world.draw(torch.randn, rows, size, rng=rng)


@dataclass(frozen=True)
class Samples:
    """Sampled captions, the features that they were sampled from, and how probable each token was."""

    features: ImageFeatures
    """Of the B images (of B * K rows where each sample has its own noise)."""
    captions: Captions
    """N samples, those of one image neighbours; `captions.images` says which row of the features each describes."""
    max_length: int
    """The longest caption that could have been sampled, in tokens."""
    samples_per_image: int
    """K; N is a multiple of it."""
    log_probs: Tensor
    """(N, T), 0 on padding; under the distribution that was sampled from: the policy itself at temperature 1."""

    @property
    def samples_of(self) -> Tensor:
        """(N,) long, 0 to B-1: the image of each caption, also where each has features of its own (noise)."""
        return torch.arange(len(self.captions), device=self.captions.images.device) // self.samples_per_image

    @property
    def of_images(self) -> Captions:
        """The captions as those of the B images, also where each has features of its own (noise)."""
        return replace(self.captions, images=self.samples_of)


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
    state = generator.start(features, max_length)
    device = features.pooled.device
    copies = torch.arange(len(features), device=device).repeat_interleave(samples)
    uniforms = world.draw(torch.rand, len(copies), max_length, rng=rng).to(device, non_blocking=True)
    at_once = rows_at_once(state, words=generator.vocabulary_size - generator.first_word)
    images = max(at_once // samples, 1)
    drawn = []
    for part, numbers in zip(state.split(images), uniforms.split(images * samples), strict=True):
        logits, part = generator.step(torch.full((len(part),), BOS, device=device), part)
        begins = torch.arange(len(part), device=device).repeat_interleave(samples)
        for own, some in zip(begins.split(at_once), numbers.split(at_once), strict=True):  # of one image, if any
            drawn.append(continue_captions(
                generator, logits, part, own, uniforms=some, temperature=temperature, top_k=top_k, top_p=top_p
            ))  # fmt: skip
    tokens, log_probs = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    captions = captions_from_tokens(tokens, copies)
    return Samples(features, captions, max_length, samples, log_probs[:, : captions.tokens.shape[1]])


def sample_with_noise(
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
    """Draw K captions for every image as `sample` does, each given a noise of its own where the generator has one."""
    own, per_row = attach_noise(generator, features, samples=samples, rng=rng)
    drawn = sample(
        generator, own, samples=per_row, max_length=max_length, rng=rng,
        temperature=temperature, top_k=top_k, top_p=top_p,
    )  # fmt: skip
    return replace(drawn, samples_per_image=samples)


@torch.no_grad()
def continue_captions(
    generator: Generator,
    logits: Tensor,
    state: PolicyState,
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
        logits: (S, V - first_word) of the first token to draw after each state, as `Generator.step` makes them.
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
    state: PolicyState,
    begins: Tensor,
    uniforms: Tensor,
    limits: Tensor,
    distribution: Distribution,
) -> tuple[Tensor, Tensor]:
    """Draw with one state for all rows that have drawn the same words, and none for rows that have ended."""
    written = torch.full(uniforms.shape, PAD, dtype=torch.long, device=logits.device)
    log_probs = torch.zeros_like(uniforms)
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
        logits, state = generator.step(pairs % vocabulary, state, pairs // vocabulary)
    return written, log_probs


def _draw_side_by_side(
    generator: Generator,
    logits: Tensor,
    state: PolicyState,
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
            logits, state = generator.step(tokens, state)
    return torch.stack(written, dim=1), torch.stack(log_probs, dim=1)
