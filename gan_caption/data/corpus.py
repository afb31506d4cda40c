"""What every data set gives: splits of captioned images.

A corpus is any object with `split(name) -> Split`, where name is "train", "val" or "test".
Plain Python, numpy and PIL only: no torch, so that reading captions is fast to import and easy to test.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image

from gan_caption.configuration.wording import short
from gan_caption.data.compact import Elements, Groups, Texts
from gan_caption.errors import UserError
from gan_caption.metrics.chair import Outlined, chair, named_in
from gan_caption.metrics.metric import Metric, Predictions
from gan_caption.metrics.ngrams import Score

T = TypeVar("T")


class NoSplit(UserError):
    """A corpus has no split of a name that splits may have, or none of its images; nothing that it holds is faulty."""


@dataclass(frozen=True)
class CaptionedImage:
    """One image and what people said of it."""

    image_id: str
    """Unique within its corpus: the file name, or the annotation file's id."""
    captions: tuple[str, ...]
    """Raw text, as the annotators wrote it; at least one."""
    path: Path | None = None
    """Where the photograph lies; None where the corpus draws its images."""


class CaptionedImages(Elements[CaptionedImage]):
    """Any number of captioned images, made when they are looked at; see `Texts`."""

    def __init__(self, items: Iterable[CaptionedImage]) -> None:
        """Take the images in."""
        sizes: list[int] = []

        def parts() -> Iterator[str]:
            for item in items:
                sizes.append(2 + len(item.captions))
                yield item.image_id
                yield "" if item.path is None else str(item.path)
                yield from item.captions

        texts = Texts(parts())  # which fills `sizes`
        self._parts = Groups(texts, sizes)

    def __len__(self) -> int:
        return len(self._parts)

    def one(self, index: int) -> CaptionedImage:
        """Make image `index`."""
        image_id, path, *captions = self._parts.one(index)
        return CaptionedImage(image_id, tuple(captions), Path(path) if path else None)


@dataclass(frozen=True)
class Split:
    """An ordered part of a corpus, and access to its images."""

    name: str
    items: Sequence[CaptionedImage]
    notes: tuple[str, ...] = ()
    """What was found and not used (images without captions, captions without images), one sentence each."""
    outlined: Outlined | None = None
    """What objects its images have, where somebody knows."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def pictured(self) -> bool:
        """Whether `image` shows what captions are of; a blank picture may stand in."""
        return True

    @property
    def fingerprint(self) -> str:
        """A hash of the images' names and captions in their order, wherever they lie: one pass over the captions."""
        content = hashlib.sha256()
        for item in self.items:
            content.update(written(item.image_id, item.captions))
        return content.hexdigest()

    def image(self, index: int) -> Image.Image:
        """Return image `index` as RGB.

        Raises:
            UserError: the file cannot be read as an image; the message names it.
        """
        from gan_caption.data.images import load_rgb

        path = self.items[index].path
        assert path is not None, "a split without paths overrides image()"
        return load_rgb(path)

    def version(self, index: int) -> bytes:
        """Return what changes when image `index` does: of its file the size and time, or a drawing's pixels.

        Raises:
            OSError: there is no such file.
        """
        path = self.items[index].path
        if path is None:
            return self.image(index).tobytes()
        about = path.stat()
        return f"{about.st_size} {about.st_mtime_ns}".encode()

    def shuffled(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return these rows (N,) in the random order of an epoch, a function of `rng` alone."""
        return rng.permutation(rows)

    def select(self, rows: Sequence[int]) -> Split:
        """Return the split that holds only these rows, in this order."""
        return replace(self, items=CaptionedImages(self.items[row] for row in rows))

    def log_density(self, index: int, caption: str) -> float | None:
        """Return log p(caption | image `index`) in nats, -inf outside the support; None where nobody knows it."""
        del index, caption
        return None

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What only this corpus can measure: by a known grammar, say, see `known_truth`; here by the objects named.

        Captions that name none of COCO's objects, in another language, say, are not measured by them.
        """
        return chair(self.outlined) if named_in(item.captions for item in self.items) else ()


def known_truth(
    metric: Metric, truth: Callable[[Sequence[Sequence[str]]], T], value: Callable[[T], Score | float]
) -> tuple[Metric, Metric]:
    """Return what only a corpus can measure, once of the captions and once of the samples.

    Args:
        metric: of captions, without its function; that of samples is called `sample_<name>`.
        truth: judges the captions of every item of the split, (N, K), in order. It is asked once for all metrics that
            have the same one.
        value: the metric's, of what `truth` has found.
    """

    def of_captions(told: Predictions) -> Score | float:
        return value(told.once((truth, "captions"), lambda: truth([[caption] for caption in told.captions])))

    def of_samples(told: Predictions) -> Score | float:
        return value(told.once((truth, "samples"), lambda: truth(told.samples)))

    name, label = f"sample_{metric.name}", f"samples: {metric.label}"
    sampled = replace(metric, name=name, label=label, of="samples", function=of_samples)
    return replace(metric, function=of_captions), sampled


def check_items(split: Split) -> None:
    """Look whether the images of a split are what `CaptionedImage` says: a corpus of one's own may be mistaken.

    Raises:
        UserError: a name is no text or stands twice, captions are no texts, or there are none, or only blank ones.
    """
    if isinstance(split.items, Elements):
        return  # of this package's own, which look themselves and may have too many names for a set
    known: set[str] = set()
    for item in split.items:
        where = f"data: {split.name}, image {item.image_id!r}"
        if not isinstance(item.image_id, str):
            raise UserError(f"{where}: its name is a text")
        if item.image_id in known:
            raise UserError(f"{where} stands there twice: names are unique")
        known.add(item.image_id)
        captions = item.captions
        if not isinstance(captions, list | tuple) or not all(isinstance(caption, str) for caption in captions):
            raise UserError(f"{where}: captions are a tuple of texts, not {short(captions)}")
        if not any(caption.strip() for caption in captions):
            raise UserError(f"{where} has no caption: leave it out, and say so in the split's `notes`")


def written(image_id: str, captions: Iterable[str]) -> bytes:
    """Return an image's name and captions as JSON, in ASCII, whatever they hold."""
    return json.dumps([image_id, *captions]).encode()


class Corpus(Protocol):
    """A data set: three named splits.

    Its class may say in `LOCATIONS` which of its settings only tell where the data lie, such as ("root",): a run then
    finds its folder again when the data have moved, and goes by their names and captions instead. () says that the data
    are drawn from the settings alone. Without it, a run goes by all settings, and by names and captions.
    """

    def split(self, name: str) -> Split:
        """Return "train", "val" or "test".

        Raises:
            NoSplit: the corpus has none of this name. Of test this is no mistake: the validation images stand in.
            UserError: the name is another one, or the split's files are faulty.
        """
        ...


def locations_of(corpus: Corpus) -> tuple[str, ...] | None:
    """Return what the class of a corpus says in `LOCATIONS`; None where it says nothing."""
    return getattr(corpus, "LOCATIONS", None)
