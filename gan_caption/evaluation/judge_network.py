"""The network that judges: it learns to match human captions with their images, then to tell them from others.

It first learns to find the image of a human caption among others, by the softmax over them. From there it learns to
tell human captions from those of other images and from generated ones: the three kinds of pairs are those of Dai et al.
2017, arXiv 1703.06029, eq. 6.

Shapes: N images, K captions an image, M captions, H hidden, P pooled.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gan_caption.data.captions import Captions, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.errors import at_least, share
from gan_caption.modes import evaluating, forked_random

_SCORED_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """Of the network that judges."""

    folds: int = 5
    """F: each of so many parts of the images is judged by a network that learned from the others; at least 2."""
    epochs: int = 8
    """Passes over the human captions, as many to match as to judge."""
    hidden: int = 256
    """H."""
    embedding: int = 128
    """Of a word."""
    dropout: float = 0.5
    """Probability, in [0, 1)."""
    learning_rate: float = 1e-3
    """Of Adam."""
    batch_captions: int = 64
    """Human captions an update; to judge, with as many of other images and as many generated ones."""
    seed: int = 0
    """Of folds, weights and order."""

    def __post_init__(self) -> None:
        at_least(2, folds=self.folds)
        at_least(1, epochs=self.epochs, hidden=self.hidden, embedding=self.embedding)
        at_least(2, batch_captions=self.batch_captions)
        at_least(0, learning_rate=self.learning_rate, seed=self.seed)
        share(dropout=self.dropout)


@dataclass(frozen=True)
class Known:
    """What a network learns from."""

    pooled: Tensor
    """(N, P) of all images."""
    coded: Mapping[str, Sequence[Sequence[list[int]]]]
    """Captions by system and image as word ids; those of humans are named ""."""
    rows: np.ndarray
    """The images that it may see."""
    words: int
    """Size of the vocabulary."""


def train(known: Known, settings: JudgeSettings, *, seed: int) -> tuple[LSTMDiscriminator, LSTMDiscriminator]:
    """Return the network after matching and after judging; random numbers of the CPU and the device go on as before."""
    matcher, judging = _learned(recurrent, (_matching_loss, _judging_loss), known, settings, seed=seed)
    return matcher, judging


def train_to_tell(known: Known, settings: JudgeSettings, *, seed: int) -> CNNDiscriminator:
    """Return a network that learned to match and then to tell one system's captions from people's of the same images.

    It reads by convolutions. Random numbers of the CPU and of the device go on as before.
    """
    _, telling = _learned(convolutional, (_matching_loss, _telling_loss), known, settings, seed=seed)
    return telling


def recurrent(known: Known, settings: JudgeSettings) -> LSTMDiscriminator:
    """Build a network that reads by an LSTM."""
    return LSTMDiscriminator(
        vocabulary_size=known.words, pooled_size=known.pooled.shape[1], hidden=settings.hidden,
        embedding=settings.embedding, dropout=settings.dropout, instance_noise=0.0,
    )  # fmt: skip


def convolutional(known: Known, settings: JudgeSettings) -> CNNDiscriminator:
    """Build a network that reads one to four words at a time."""
    widths = [1, 2, 3, 4]
    return CNNDiscriminator(
        vocabulary_size=known.words, pooled_size=known.pooled.shape[1], filters=max(1, settings.hidden // len(widths)),
        embedding=settings.embedding, widths=widths, dropout=settings.dropout, instance_noise=0.0,
    )  # fmt: skip


Network = TypeVar("Network", LSTMDiscriminator, CNNDiscriminator)
Loss: TypeAlias = Callable[[Network, Known, np.ndarray, np.random.Generator], Tensor]


def _learned(
    build: Callable[[Known, JudgeSettings], Network], losses: Sequence[Loss[Network]], known: Known,
    settings: JudgeSettings, *, seed: int,
) -> list[Network]:  # fmt: skip
    """Return a network as each loss left it, one after the other."""
    device = known.pooled.device
    rng = np.random.default_rng(seed)
    left = []
    with forked_random(device):
        torch.manual_seed(seed)
        network = build(known, settings).to(device)
        for loss in losses:
            _fit(network, loss, known, settings, rng)
            left.append(copy.deepcopy(network))
    return left


def _fit(
    network: Network, loss_of: Loss[Network], known: Known, settings: JudgeSettings, rng: np.random.Generator
) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    positions = np.array([(row, k) for row in known.rows for k in range(len(known.coded[""][row]))])
    network.train()
    for _ in range(settings.epochs):
        order = rng.permutation(len(positions))
        for start in range(0, len(order), settings.batch_captions):
            loss = loss_of(network, known, positions[order[start : start + settings.batch_captions]], rng)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()


def _matching_loss(network: Network, known: Known, batch: np.ndarray, _: np.random.Generator) -> Tensor:
    """Return -log p(own image | human caption) among the images of a batch (M, 2) of (image, caption)."""
    batch = batch[np.argsort(batch[:, 0], kind="stable")]  # captions of one image stand together
    images, own = np.unique(batch[:, 0], return_inverse=True)
    told = captions_from_ids([known.coded[""][row][k] for row, k in batch], own.tolist()).to(known.pooled.device)
    found = network.image_vectors(ImageFeatures(known.pooled[images]))
    scores = network.sentence_vectors(network.embed(told), told) @ found.T  # (M, images)
    return functional.cross_entropy(scores, told.images)


def _judging_loss(network: LSTMDiscriminator, known: Known, batch: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Return the cross-entropy of human captions against those of other images and generated ones."""
    human, images = known.coded[""], batch[:, 0]
    names = sorted(name for name in known.coded if name)  # the order in which systems are given changes nothing
    others = [_drawn(human[row], rng) for row in _other(images, known.rows, rng)]
    systems = rng.integers(len(names), size=len(images))
    drawn = [_drawn(known.coded[names[system]][row], rng) for row, system in zip(images, systems, strict=True)]
    real = [human[row][k] for row, k in batch]
    told = [caption for three in zip(real, others, drawn, strict=True) for caption in three]
    captions = captions_from_ids(told, np.repeat(np.arange(len(images)), 3).tolist()).to(known.pooled.device)
    logits = network(ImageFeatures(known.pooled[images]), captions)
    target = torch.tensor([1.0, 0.0, 0.0], device=logits.device).repeat(len(images))
    losses = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (losses * torch.where(target > 0, 1.0, 0.5)).mean()


def _telling_loss(network: CNNDiscriminator, known: Known, batch: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Return the cross-entropy of human captions against as many generated ones of the same images."""
    human, images = known.coded[""], batch[:, 0]
    ((_, generated),) = ((name, own) for name, own in known.coded.items() if name)
    told = [caption for row, k in batch for caption in (human[row][k], _drawn(generated[row], rng))]
    captions = captions_from_ids(told, np.repeat(np.arange(len(images)), 2).tolist()).to(known.pooled.device)
    logits = network(ImageFeatures(known.pooled[images]), captions)
    target = torch.tensor([1.0, 0.0], device=logits.device).repeat(len(images))
    return functional.binary_cross_entropy_with_logits(logits, target)


def _other(images: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return for each image another one of `rows`, each with the same probability."""
    place = {row: index for index, row in enumerate(rows.tolist())}
    steps = rng.integers(1, len(rows), size=len(images))
    return rows[(np.array([place[row] for row in images.tolist()]) + steps) % len(rows)]


def _drawn(captions: Sequence[list[int]], rng: np.random.Generator) -> list[int]:
    return captions[int(rng.integers(len(captions)))]


def all_pairs(network: LSTMDiscriminator, pooled: Tensor, captions: Sequence[Sequence[list[int]]]) -> np.ndarray:
    """Return the logit of every caption with every image, (n, K, n) float64: two passes and one matrix product."""
    flat = [caption for own in captions for caption in own]
    with evaluating(network):
        images = network.image_vectors(ImageFeatures(pooled))  # (n, H)
        tables = []
        for start in range(0, len(flat), _SCORED_AT_ONCE):
            some = flat[start : start + _SCORED_AT_ONCE]
            batch: Captions = captions_from_ids(some, [0] * len(some)).to(pooled.device)
            sentences = network.sentence_vectors(network.embed(batch), batch)  # (M, H)
            tables.append(sentences @ images.T + network.fluency(sentences))
    table: np.ndarray = torch.cat(tables).double().cpu().numpy()
    return table.reshape(len(captions), -1, len(captions))
