"""Batches of images with their captions, in an order that is a pure function of (seed, epoch).

A position in the data is one number, the step: nothing else needs saving to resume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from gan_caption.data.captions import UNK, Captions, captions_from_ids
from gan_caption.data.compact import Groups, Numbers
from gan_caption.distributed import world


@dataclass(frozen=True)
class Batch:
    """This rank's part of B images, and K captions of each: all of them where there is one process."""

    rows: list[int]
    """Row numbers of the images in their split."""
    captions: Captions
    """K captions of each; `captions.images` counts within these rows. T is the whole batch's."""

    def parts(self, count: int) -> list[Batch]:
        """Return the images in order, with their captions, in so many parts of about one size; some may be empty."""
        bounds = [len(self.rows) * part // count for part in range(count + 1)]
        images = self.captions.images
        return [
            Batch(self.rows[first:last], replace(own, images=own.images - first))
            for first, last in pairwise(bounds)
            for own in (self.captions.select((images >= first) & (images < last)),)
        ]


def _permuted(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(rows)


class CaptionBatches:
    """Every image once an epoch, with up to K of its captions drawn afresh each epoch."""

    def __init__(
        self,
        captions: Sequence[Sequence[Sequence[int]]],
        *,
        images: int,
        captions_per_image: int,
        seed: int,
        rows: np.ndarray | None = None,
        shuffle: Callable[[np.ndarray, np.random.Generator], np.ndarray] = _permuted,
    ) -> None:
        """Hold the encoded captions of a split.

        Args:
            captions: for every image its captions as token ids; an image without any is left out of the epoch.
            images: B, images a batch, those of all ranks together; the last batch of an epoch may be smaller.
            captions_per_image: K; an image that has fewer gives all it has.
            seed: of the order.
            rows: the images that an epoch is made of, ascending; None: all.
            shuffle: returns rows in random order; `Split.shuffled` has one that suits the way images are stored.
        """
        self.captions = captions
        self.sizes = np.array([len(own) for own in captions], dtype=np.int64)
        self.rows = np.flatnonzero(self.sizes) if rows is None else rows[self.sizes[rows] > 0]
        self.images = images
        self.captions_per_image = captions_per_image
        self.seed = seed
        self.shuffle = shuffle
        self._epoch = -1
        self._order = self.rows
        self._choices = Numbers([])

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-len(self.rows) // self.images)

    def at(self, step: int) -> Batch:
        """Return this rank's part of batch number `step`, counted from the start of training; it may be empty."""
        epoch, index = divmod(step, len(self))
        self._shuffle(epoch)
        chosen = slice(index * self.images, (index + 1) * self.images)
        rows = [int(row) for row in self._order[chosen]]
        ids, images = [], []
        for image, (row, choice) in enumerate(zip(rows, self._choices[chosen], strict=True)):
            ids += [self.captions[row][caption] for caption in choice]
            images += [image] * len(choice)
        captions = captions_from_ids(ids, images)
        part = world.part(len(rows))
        own = captions.select((captions.images >= part.start) & (captions.images < part.stop))
        return Batch(world.own_of(rows), replace(own, images=own.images - part.start))

    def _shuffle(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        rng = np.random.default_rng([self.seed, epoch])
        self._order = self.shuffle(self.rows, rng)
        sizes = self.sizes[self._order]
        self._choices = Numbers(rng.permutation(size)[: self.captions_per_image].tolist() for size in sizes)
        self._epoch = epoch


def without_unknown(captions: Sequence[Sequence[list[int]]]) -> Sequence[Sequence[list[int]]]:
    """Keep the captions that hold no `<unk>`.

    Generators never write `<unk>`; a discriminator that met it in real captions alone would learn the marker. Longer
    captions hold it more often, so that those that are left are a little shorter than what the policy learned from;
    `skip_unknown=true` has it learn from the same.
    """
    sizes = [sum(UNK not in caption for caption in own) for own in captions]
    return Groups(Numbers(caption for own in captions for caption in own if UNK not in caption), sizes)
