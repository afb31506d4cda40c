"""Adversarial evaluation: a network that no system was trained against judges all of them alike.

It first learns to find the image of a human caption among others, by the softmax over them; with that it ranks images.
From there it learns to tell human captions from those of other images and from generated ones (Kannan and Vinyals 2017,
arXiv 1701.08198; the three kinds of pairs are those of Dai et al. 2017, arXiv 1703.06029, eq. 6); with that it judges.
Images are ranked by the first because the second has learned that a generated caption does not match its image. All is
cross-fitted: a network is asked about images only that it has not seen.

Shapes: N images, K captions an image, F folds, P pooled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gan_caption.errors import UserError
from gan_caption.evaluation.judge_network import JudgeSettings, Known, all_pairs, train
from gan_caption.text.words import WordTokenizer

Texts = Sequence[Sequence[str]]


@dataclass(frozen=True)
class JudgedCaptions:
    """What the network thinks of a system's captions."""

    logits: np.ndarray
    """(N, K) float64; above 0: taken for a person's of this image."""
    ranks: np.ndarray
    """(N, K) float64: the rank of the caption's own image among those of its fold, 1 is best; ties take the mean."""


@dataclass(frozen=True)
class AdversarialEvaluation:
    """Of all systems and of humans."""

    systems: dict[str, JudgedCaptions]
    humans: JudgedCaptions
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
) -> AdversarialEvaluation:
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
        a judgement that depends on the settings, the captions and, for its dropout, the kind of device.

    Raises:
        UserError: there are fewer than 2 images a fold, an image has no reference, or a system has not equally many
            captions of every image.
    """
    count = len(references)
    enough_images(count, settings)
    _check(references, systems)
    fewest = min(len(own) for own in references)
    everything = [text for group in (references, *systems.values()) for own in group for text in own]
    words = WordTokenizer(min_count=1).learn(everything)  # of what the metrics read, whatever the tokenizer
    longest = 1 + max(len(text.split()) for text in everything)

    def encode(texts: Texts) -> list[list[list[int]]]:
        return [[words.encode(text, max_length=longest) for text in own] for own in texts]

    coded = {"": encode(references), **{name: encode(texts) for name, texts in systems.items()}}
    logits = {name: np.zeros((count, len(own[0]) if name else fewest)) for name, own in coded.items()}
    ranks = {name: np.zeros_like(own) for name, own in logits.items()}
    other_image = np.zeros((count, fewest))
    for index, (fold, rest) in enumerate(divided(count, settings)):
        known = Known(pooled, coded, rest, len(words))
        matcher, judging = train(known, settings, seed=settings.seed * 1000 + index)
        own_image = np.arange(len(fold))
        for name, own in coded.items():
            asked = [own[row][: logits[name].shape[1]] for row in fold]
            ranks[name][fold] = _rank(all_pairs(matcher, pooled[fold], asked))
            table = all_pairs(judging, pooled[fold], asked)  # (n, K, n)
            logits[name][fold] = table[own_image, :, own_image]
            if not name:
                other_image[fold] = table[own_image, :, np.roll(own_image, 1)]
        if progress is not None:
            progress(index + 1, settings.folds)

    human = float((logits[""] > 0).mean())
    wrong = float((other_image <= 0).mean())
    generated = float(np.mean([(logits[name] <= 0).mean() for name in systems]))
    accuracy = {
        "human": human, "other_image": wrong, "generated": generated, "balanced": human / 2 + (wrong + generated) / 4
    }  # fmt: skip
    judged = {name: JudgedCaptions(logits[name], ranks[name]) for name in coded}
    return AdversarialEvaluation({name: judged[name] for name in systems}, judged[""], accuracy, count / settings.folds)


def divided(count: int, settings: JudgeSettings) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the images of each fold, and all others: who judges the first has learned from the second."""
    folds = np.array_split(np.random.default_rng(settings.seed).permutation(count), settings.folds)
    return [(fold, np.concatenate([other for other in folds if other is not fold])) for fold in folds]


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


def _rank(table: np.ndarray) -> np.ndarray:
    """Return the rank of each caption's own image, (n, K); of equal ones the mean rank."""
    diagonal = np.arange(len(table))
    own = table[diagonal, :, diagonal][..., None]  # (n, K, 1)
    better, equal = (table > own).sum(2), (table == own).sum(2) - 1
    ranks: np.ndarray = 1 + better + equal / 2
    return ranks
