"""How well a network that learned it tells a captioner's samples from people's captions: .5 is the best captioner.

The network is trained for this captioner alone and nothing was ever trained against it; it reads by convolutions, where
discriminators and policies read by recurrence. Cross-fitted over images: of no caption's image has its judge seen any
caption. Silence, sharpness or always saying the same do not help: the network learns whatever gives a captioner away
(Lopez-Paz and Oquab 2017, arXiv 1610.06545).

Shapes: N images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan_caption.data.captions import captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.errors import UserError
from gan_caption.evaluation.adversarial import divided, enough_images
from gan_caption.evaluation.judge_network import JudgeSettings, Known, train_to_tell
from gan_caption.metrics.ngrams import Score
from gan_caption.metrics.separation import area_under
from gan_caption.modes import evaluating
from gan_caption.text.words import WordTokenizer

Texts = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Lessons:
    """Other images that a judge learns from, whatever it is asked."""

    pooled: Tensor
    """(M, P)."""
    people: Texts
    """Of each, people's captions, tokenized."""
    samples: Texts
    """Of each, the captioner's."""


def told_apart(
    pooled: Tensor, people: Texts, samples: Texts, *, settings: JudgeSettings, lessons: Lessons | None = None
) -> Score:
    """Return the AUC of a cross-fitted judge, image by image: how probably it finds a person's caption likelier human.

    People's and generated captions of the same image are compared, which one and the same network has judged; ties
    count half. Of captions that were drawn like people's it is .5 in expectation, whatever the network has learned, and
    images are independent: an interval over images holds.

    Args:
        pooled: features of the images, (N, P), on the device to compute on.
        people: of each image the tokenized captions of people, at least one.
        samples: of each image the captioner's, at least one.
        settings: of the network.
        lessons: what it learns from besides, in every fold, and is not asked of: the more it has seen the less it
            overlooks. Of images that the captioner has learned by heart it would learn too little.

    Raises:
        UserError: there are fewer than 2 images a fold, the numbers of images differ, or an image lacks captions.
    """
    count = len(people)
    enough_images(count, settings)
    if not len(pooled) == count == len(samples):
        raise UserError(f"captions of {count} images by people, of {len(samples)} by a captioner; {len(pooled)} images")
    if lacking := [row for row in range(count) if not people[row] or not samples[row]]:
        raise UserError(f"image {lacking[0]} lacks captions ({len(lacking)} such images): leave them out")
    seen = pooled
    if lessons is not None:
        seen = torch.cat([pooled, lessons.pooled])
        people, samples = [*people, *lessons.people], [*samples, *lessons.samples]
    everything = [text for group in (people, samples) for own in group for text in own]
    words = WordTokenizer(min_count=1).learn(everything)
    longest = 1 + max(len(text.split()) for text in everything)
    coded = {
        name: [[words.encode(text, max_length=longest) for text in own] for own in group]
        for name, group in (("", people), ("samples", samples))
    }
    found = np.zeros(count)
    for index, (fold, rest) in enumerate(divided(count, settings)):
        learned = np.concatenate([rest, np.arange(count, len(seen))])
        network = train_to_tell(Known(seen, coded, learned, len(words)), settings, seed=settings.seed * 1000 + index)
        human, generated = (_logits(network, pooled[fold], [own[row] for row in fold]) for own in coded.values())
        found[fold] = [area_under(*pair) for pair in zip(human, generated, strict=True)]
    return Score.of(found)


def _logits(network: Discriminator, pooled: Tensor, captions: Sequence[Sequence[list[int]]]) -> list[np.ndarray]:
    """Return the logits of each image's captions."""
    images = np.repeat(np.arange(len(captions)), [len(own) for own in captions])
    batch = captions_from_ids([caption for own in captions for caption in own], images.tolist()).to(pooled.device)
    with evaluating(network):
        told = network(ImageFeatures(pooled), batch).double().cpu().numpy()
    return np.split(told, np.flatnonzero(np.diff(images)) + 1)
