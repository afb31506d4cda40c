"""What every data set gives: splits of captioned images.

A corpus is any object with `split(name) -> Split`, where name is "train", "val" or "test".
Plain Python and PIL only: no torch, so that reading captions is fast to import and easy to test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from PIL import Image


@dataclass(frozen=True)
class CaptionedImage:
    """One image and what people said of it."""

    image_id: str
    """Unique within its corpus: the file name, or the annotation file's id."""
    captions: tuple[str, ...]
    """Raw text, as the annotators wrote it; at least one."""
    path: Path | None = None
    """Where the photograph lies; None where the corpus draws its images."""


@dataclass(frozen=True)
class Split:
    """An ordered part of a corpus, and access to its images."""

    name: str
    items: tuple[CaptionedImage, ...]
    notes: tuple[str, ...] = ()
    """What was found and not used (images without captions, captions without images), one sentence each."""

    def __len__(self) -> int:
        return len(self.items)

    def image(self, index: int) -> Image.Image:
        """Return image `index` as RGB.

        Raises:
            UserError: the file cannot be read as an image; the message names it.
        """
        from gan_caption.data.images import load_rgb

        path = self.items[index].path
        assert path is not None, "a split without paths overrides image()"
        return load_rgb(path)

    def select(self, rows: Sequence[int]) -> Split:
        """Return the split that holds only these rows, in this order."""
        return replace(self, items=tuple(self.items[row] for row in rows))

    def oracle(self, captions: Sequence[Sequence[str]]) -> dict[str, float]:
        """Score captions by what only this corpus knows (a known grammar, say); {} where nothing is known.

        Args:
            captions: for every item of the split, in order, its generated captions.
        """
        del captions
        return {}

    def true_share(self, captions: Sequence[Sequence[str]]) -> list[float] | None:
        """Return of each item the share of its captions that are known to be true of it.

        None where the corpus does not know; see `oracle`.
        """
        del captions
        return None


class Corpus(Protocol):
    """A data set: three named splits."""

    def split(self, name: str) -> Split:
        """Return "train", "val" or "test".

        Raises:
            UserError: the name is another one, or the split's files are missing or faulty.
        """
        ...
