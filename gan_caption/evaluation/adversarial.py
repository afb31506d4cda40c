"""Adversarial evaluation: a network that no system was trained against judges all of them alike.

It first learns to find the image of a human caption among others, by the softmax over them; with that it ranks images.
From there it learns to tell human captions from those of other images and from generated ones (Kannan and Vinyals 2017,
arXiv 1701.08198; the three kinds of pairs are those of Dai et al. 2017, arXiv 1703.06029, eq. 6); with that it judges.
Images are ranked by the first because the second has learned that a generated caption does not match its image. All is
cross-fitted: a network is asked about images only that it has not seen.

Shapes: N images, K captions an image, F folds, M captions, H hidden, P pooled.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gan_caption.data.captions import Captions, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.errors import UserError, at_least, share
from gan_caption.modes import evaluating
from gan_caption.text.vocabulary import Vocabulary

_SCORED_AT_ONCE = 1024
Texts = Sequence[Sequence[str]]


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
class Judged:
    """What the network thinks of a system's captions."""

    logits: np.ndarray
    """(N, K) float64; above 0: taken for a person's of this image."""
    ranks: np.ndarray
    """(N, K) float64: the rank of the caption's own image among those of its fold, 1 is best; ties take the mean."""


@dataclass(frozen=True)
class Judgement:
    """Of all systems and of humans."""

    systems: dict[str, Judged]
    humans: Judged
    accuracy: dict[str, float]
    """Share judged rightly of held-out `human`, `other_image` and `generated` captions, and the `balanced` accuracy, in
    which the first weighs as much as the others together."""
    candidates: float
    """Images that an image is found among, on average."""


def judge(
    pooled: Tensor,
    references: Texts,
    systems: Mapping[str, Texts],
    *,
    settings: JudgeSettings,
    progress: Callable[[int, int], None] | None = None,
) -> Judgement:
    """Train and ask the network, fold by fold.

    An update of what judges sees as many human captions as captions of other images and generated ones, the latter from
    all systems in equal shares; human ones weigh as much as the others together, so that a logit of 0 is the border.

    Args:
        pooled: features of the images, (N, P), on the device to compute on.
        references: of each image its tokenized human captions.
        systems: by name, of each image K tokenized captions; K may differ between systems.
        settings: of the network.
        progress: told (folds done, folds).

    Returns:
        a judgement that depends on the settings and the captions only.

    Raises:
        UserError: there are fewer than 2 images a fold, an image has no reference, or a system has not equally many
            captions of every image.
    """
    count = len(references)
    enough_images(count, settings)
    _check(references, systems)
    fewest = min(len(own) for own in references)
    humans = [list(own[:fewest]) for own in references]
    everything = [text for group in (references, *systems.values()) for own in group for text in own]
    vocabulary = Vocabulary.build(everything, min_count=1)
    longest = 1 + max(len(text.split()) for text in everything)

    def encode(texts: Texts) -> list[list[list[int]]]:
        return [[vocabulary.encode(text, max_length=longest) for text in own] for own in texts]

    coded = {"": encode(humans), **{name: encode(texts) for name, texts in systems.items()}}
    logits = {name: np.zeros((count, len(own[0]))) for name, own in coded.items()}
    ranks = {name: np.zeros_like(own) for name, own in logits.items()}
    other_image = np.zeros((count, fewest))
    folds = np.array_split(np.random.default_rng(settings.seed).permutation(count), settings.folds)
    for index, fold in enumerate(folds):
        rest = np.concatenate([other for other in folds if other is not fold])
        known = Known(pooled, coded, rest, len(vocabulary))
        matcher, judging = _train(known, settings, seed=settings.seed * 1000 + index)
        own_image = np.arange(len(fold))
        for name, own in coded.items():
            asked = [own[row] for row in fold]
            ranks[name][fold] = _rank(_all_pairs(matcher, pooled[fold], asked))
            table = _all_pairs(judging, pooled[fold], asked)  # (n, K, n)
            logits[name][fold] = table[own_image, :, own_image]
            if not name:
                other_image[fold] = table[own_image, :, np.roll(own_image, 1)]
        if progress is not None:
            progress(index + 1, len(folds))

    human = float((logits[""] > 0).mean())
    wrong = float((other_image <= 0).mean())
    generated = float(np.mean([(logits[name] <= 0).mean() for name in systems]))
    accuracy = {
        "human": human, "other_image": wrong, "generated": generated, "balanced": human / 2 + (wrong + generated) / 4
    }  # fmt: skip
    judged = {name: Judged(logits[name], ranks[name]) for name in coded}
    return Judgement(
        {name: judged[name] for name in systems}, judged[""], accuracy, float(np.mean([len(fold) for fold in folds]))
    )


def enough_images(count: int, settings: JudgeSettings) -> None:
    """Refuse too few images for the folds, which can be known before anything is evaluated.

    Raises:
        UserError: there are fewer than 2 a fold.
    """
    if count < 2 * settings.folds:
        raise UserError(f"judge.folds={settings.folds}: {count} images are too few, at least 2 a fold are needed")


def _check(references: Texts, systems: Mapping[str, Texts]) -> None:
    if any(not own for own in references):
        raise UserError("an image has no human caption to learn from: leave it out")
    for name, texts in systems.items():
        numbers = {len(own) for own in texts}
        if len(texts) != len(references) or len(numbers) != 1 or 0 in numbers:
            raise UserError(
                f"{name}: {len(texts)} images with {sorted(numbers)} captions; {len(references)} images with equally "
                "many captions are needed"
            )


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


def _train(known: Known, settings: JudgeSettings, *, seed: int) -> tuple[LSTMDiscriminator, LSTMDiscriminator]:
    """Return the network after matching and after judging; the random state outside is left as it was."""
    device = known.pooled.device
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[device] if known.pooled.is_cuda else []):
        torch.manual_seed(seed)
        network = LSTMDiscriminator(
            vocabulary_size=known.words, pooled_size=known.pooled.shape[1], hidden=settings.hidden,
            embedding=settings.embedding, dropout=settings.dropout,
        ).to(device)  # fmt: skip
        _fit(network, _matching_loss, known, settings, rng)
        matcher = copy.deepcopy(network)
        _fit(network, _judging_loss, known, settings, rng)
    return matcher, network


Loss = Callable[[LSTMDiscriminator, Known, np.ndarray, np.random.Generator], Tensor]


def _fit(
    network: LSTMDiscriminator, loss_of: Loss, known: Known, settings: JudgeSettings, rng: np.random.Generator
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


def _matching_loss(network: LSTMDiscriminator, known: Known, batch: np.ndarray, _: np.random.Generator) -> Tensor:
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


def _other(images: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return for each image another one of `rows`, each with the same probability."""
    place = {row: index for index, row in enumerate(rows.tolist())}
    steps = rng.integers(1, len(rows), size=len(images))
    return rows[(np.array([place[row] for row in images.tolist()]) + steps) % len(rows)]


def _drawn(captions: Sequence[list[int]], rng: np.random.Generator) -> list[int]:
    return captions[int(rng.integers(len(captions)))]


def _all_pairs(network: LSTMDiscriminator, pooled: Tensor, captions: Sequence[Sequence[list[int]]]) -> np.ndarray:
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


def _rank(table: np.ndarray) -> np.ndarray:
    """Return the rank of each caption's own image, (n, K); of equal ones the mean rank."""
    diagonal = np.arange(len(table))
    own = table[diagonal, :, diagonal][..., None]  # (n, K, 1)
    better, equal = (table > own).sum(2), (table == own).sum(2) - 1
    ranks: np.ndarray = 1 + better + equal / 2
    return ranks
