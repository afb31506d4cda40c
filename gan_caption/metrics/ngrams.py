"""What the metrics share: counting n-grams, checking what is given, and the form of a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_caption.errors import UserError

Ngram = tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """A metric's value."""

    corpus: float
    """Over all images."""
    per_image: np.ndarray
    """(N,) float64."""

    @classmethod
    def of(cls, per_image: np.ndarray) -> Score:
        """Return the score whose corpus value is the mean of the images' own, (N,)."""
        return Score(float(per_image.mean()), per_image)

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """Return the corpus value of other corpora made of the same images, (B,) float64; NaN of one without a value.

        Args:
            weights: (B, N) how often each image is in each of B corpora; no row is all 0.
        """
        return weights @ self.per_image / weights.sum(1)


def ngrams(words: Sequence[str], n: int) -> list[Ngram]:
    """Return the n-grams of a caption in order."""
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def count_ngrams(words: Sequence[str], longest: int) -> Counter[Ngram]:
    """Count the n-grams of 1 to `longest` words."""
    return Counter(gram for n in range(1, longest + 1) for gram in ngrams(words, n))


def check_captions(captions: object, what: str = "captions") -> None:
    """Refuse a text where a list of texts is wanted: Python would take it letter by letter.

    Raises:
        UserError: it is a text.
    """
    if isinstance(captions, str):
        raise UserError(f"{what}: {captions[:60]!r} is one text, and a list of texts is wanted: give [text]")


def check_captions_of_images(captions: Sequence[Sequence[str]], what: str) -> None:
    """Refuse a text where a list of texts is wanted, of all images or of one.

    Raises:
        UserError: there is one.
    """
    check_captions(captions, what)
    for index, own in enumerate(captions):
        check_captions(own, f"{what} of image {index}")


def check_pairs(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Refuse what cannot be scored.

    Raises:
        UserError: there is nothing, the numbers differ, an image has no reference, or a text is no list.
    """
    check_captions(candidates, "candidates")
    if len(candidates) != len(references):
        raise UserError(
            f"{len(candidates)} candidates and references of {len(references)} images: give one for each image"
        )
    check_references(references)


def check_references(references: Sequence[Sequence[str]]) -> None:
    """Refuse references that nothing can be scored against.

    Raises:
        UserError: there are none, an image has none, or a text stands where a list of texts is wanted.
    """
    check_captions_of_images(references, "references")
    if not references:
        raise UserError("no captions to score: give at least one")
    empty = [index for index, own in enumerate(references) if not own]
    if empty:
        raise UserError(f"image {empty[0]} has no references ({len(empty)} such images): leave them out")
