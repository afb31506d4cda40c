"""What a discriminator knows of images that nobody learned from.

Shapes: B images, K captions an image, M people's captions in all, M' samples in all; of a dense critic M and M' count
their tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import torch
from torch import Tensor

from gan_caption.data.captions import UNK, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.distributed import world
from gan_caption.metrics.separation import separation
from gan_caption.modes import evaluating
from gan_caption.objectives.discriminator import spoken
from gan_caption.objectives.samples import as_many, policy_samples
from gan_caption.training.phases.base import Precision, autocast
from gan_caption.training.run import Run
from gan_caption.training.seeding import random_generator


class HeldOut:
    """People's captions of the held-out images, those without `<unk>`, and of each image as many samples.

    Of several processes the main one draws and judges, and tells the others.
    """

    def __init__(self, run: Run, *, batch_images: int, precision: Precision) -> None:
        """Look the captions up; nothing is drawn yet.

        Args:
            run: whose images and policy.
            batch_images: images that are judged at once.
            precision: of the networks.
        """
        self.run = run
        self.batch_images = batch_images
        self.precision = precision
        known = {row: [own for own in run.encoded[row] if UNK not in own] for row in run.learners.nobody.tolist()}
        self.people = {row: own for row, own in known.items() if own}
        self.samples: list[list[list[int]]] = []
        """Of each image, in the order of `people`, as token ids."""

    def __len__(self) -> int:
        """Images."""
        return len(self.people)

    def draw(self, seed: int) -> None:
        """Sample from the policy as it is now; the run's own random numbers stay as they are."""
        rng = random_generator(self.run.seed, seed)
        self.samples = world.from_main(lambda: [own for rows in self._batches() for own in self._drawn(rows, rng)])

    def logits(self, discriminator: Discriminator) -> tuple[Tensor, Tensor]:
        """Return the logits of people's captions (M,) and of the samples (M',), float64 on the CPU."""
        return world.from_main(lambda: self._logits(discriminator))

    def _logits(self, discriminator: Discriminator) -> tuple[Tensor, Tensor]:
        samples = iter(self.samples)
        real, generated = [], []
        with evaluating(discriminator), evaluating(self.run.captioner), autocast(self.run.device, self.precision):
            for rows in self._batches():
                features = self.run.features(rows, grid=discriminator.uses_grid)
                real.append(_judged(discriminator, features, [self.people[row] for row in rows]))
                generated.append(_judged(discriminator, features, [next(samples) for _ in rows]))
        return torch.cat(real), torch.cat(generated)

    def _drawn(self, rows: list[int], rng: torch.Generator) -> Iterator[list[list[int]]]:
        """Return samples of a batch of images, of each as many as people wrote captions of it."""
        run, sizes = self.run, [len(self.people[row]) for row in rows]
        with evaluating(run.captioner), autocast(run.device, self.precision):
            features = run.features(rows, grid=run.generator.uses_grid)
            drawn = policy_samples(run.generator, features, samples=max(sizes), max_length=run.max_length, rng=rng)
        kept = as_many(drawn, torch.tensor(sizes))
        texts = (tokens[:length] for tokens, length in zip(kept.tokens.tolist(), kept.lengths.tolist(), strict=True))
        return (list(islice(texts, size)) for size in sizes)

    def _batches(self) -> Iterator[list[int]]:
        rows = list(self.people)
        return (rows[first : first + self.batch_images] for first in range(0, len(rows), self.batch_images))

    def state_dict(self) -> dict[str, Any]:
        """Return the samples: the policy may be another one when the run is taken up."""
        return {"samples": self.samples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.samples = state["samples"]


def measured(people: Tensor, policy: Tensor) -> dict[str, float]:
    """Return what the logits of people's captions (M,) and of samples (M',) are worth, by logged name."""
    found = separation(people.tolist(), policy.tolist())
    return {f"ratio/{name}": value for name, value in found._asdict().items()}


def _judged(discriminator: Discriminator, features: ImageFeatures, texts: Sequence[Sequence[list[int]]]) -> Tensor:
    """Return the logits (M,) of captions of each image of a batch."""
    images = [image for image, own in enumerate(texts) for _ in own]
    captions = captions_from_ids(list(chain.from_iterable(texts)), images).to(features.pooled.device)
    return spoken(discriminator(features, captions), captions).double().cpu()
