"""CHAIR: how many of the objects that a caption names are not there (Rohrbach et al. 2018, arXiv 1809.02156, eq. 1, 2).

CHAIR_i is the share of named objects that the image does not have, CHAIR_s the share of captions that name one. The
published measure takes for there what is outlined in the image or named by a reference. Without outlines the
references alone tell: people do not name all that they see, so that this is an upper bound, and what people score
against each other says how far off it is.

Shapes: N images, K captions an image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from gan_caption.metrics.coco_objects import objects
from gan_caption.metrics.metric import Metric, Predictions
from gan_caption.metrics.ngrams import Score


@dataclass(frozen=True)
class Hallucinated:
    """What is counted of the captions of each image."""

    named: np.ndarray
    """(N,) objects that captions name."""
    missing: np.ndarray
    """(N,) those of them that the image does not have."""
    captions: np.ndarray
    """(N,) captions."""
    wrong: np.ndarray
    """(N,) captions that name at least one object that is not there."""

    def of_objects(self) -> PooledShare:
        """CHAIR_i."""
        return PooledShare.of_counts(self.missing, self.named)

    def of_captions(self) -> PooledShare:
        """CHAIR_s."""
        return PooledShare.of_counts(self.wrong, self.captions)


@dataclass(frozen=True)
class PooledShare(Score):
    """A share of what is counted over all images, not the mean of the images' own shares."""

    parts: np.ndarray
    """(N,)"""
    wholes: np.ndarray
    """(N,)"""

    @classmethod
    def of_counts(cls, parts: np.ndarray, wholes: np.ndarray) -> PooledShare:
        """Return the share of all parts (N,) in all wholes (N,), NaN of none; an image without any has the share 0."""
        corpus = float(parts.sum() / wholes.sum()) if wholes.sum() else float("nan")
        return cls(corpus, parts / np.maximum(wholes, 1), parts, wholes)

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """Return the share in other corpora made of the same images, NaN of nothing; see `Score.resampled`."""
        wholes = weights @ self.wholes
        return np.divide(weights @ self.parts, wholes, out=np.full(len(wholes), np.nan), where=wholes > 0)


def hallucinated(captions: Sequence[Sequence[str]], there: Sequence[set[str]]) -> Hallucinated:
    """Count what captions name and what of it is not there.

    Args:
        captions: (N, K) tokenized.
        there: (N,) the categories of the objects of each image.
    """
    counts = np.zeros((4, len(captions)))
    for row, (own, present) in enumerate(zip(captions, there, strict=True)):
        for caption in own:
            named = objects(caption)
            missing = [category for category in named if category not in present]
            counts[:, row] += len(named), len(missing), 1, bool(missing)
    return Hallucinated(*counts)


Outlined = Callable[[], Mapping[str, set[str]]]
"""Gives the categories of the objects that each image has, by the images' names; asked once they are wanted."""


def chair(outlined: Outlined | None = None) -> tuple[Metric, ...]:
    """Return CHAIR_i and CHAIR_s, of captions and of samples.

    Args:
        outlined: what each image has, which what its references name is added to. None: references alone; the metrics
            then have other names, `chair_references_i` and `chair_references_s`.
    """
    prefix, told_by = ("chair", "") if outlined is not None else ("chair_references", ", by references")

    def there(told: Predictions) -> list[set[str]]:
        named = [set().union(*map(objects, own)) for own in told.references]
        if outlined is None:
            return named
        seen = outlined()
        return [own | seen[image] for own, image in zip(named, told.image_ids, strict=True)]

    def counted(told: Predictions, of: str) -> Hallucinated:
        present = told.once((prefix, "there"), lambda: there(told))
        captions = [[one] for one in told.captions] if of == "captions" else told.samples
        return told.once((prefix, of), lambda: hallucinated(captions, present))

    def both(kind: str, label: str, share: Callable[[Hallucinated], PooledShare]) -> tuple[Metric, Metric]:
        asked = Metric(
            name=f"{prefix}_{kind}", label=f"{label}{told_by}, %", factor=100, decimals=1, better="lower",
            per_image=True, compares=True, validated=False, function=lambda told: share(counted(told, "captions")),
        )  # fmt: skip
        sampled = replace(
            asked, name=f"sample_{asked.name}", label=f"samples: {asked.label}", of="samples",
            function=lambda told: share(counted(told, "samples")),
        )  # fmt: skip
        return asked, sampled

    return (
        *both("i", "objects that are not there", Hallucinated.of_objects),
        *both("s", "captions with such an object", Hallucinated.of_captions),
    )


def named_in(captions: Iterable[Sequence[str]], *, images: int = 100) -> bool:
    """Tell whether captions as people wrote them name objects, of a third of the images at least.

    Those in other languages do not, but for words that are spelled alike: "ein Ball", "en train de courir".

    Args:
        captions: of each image.
        images: how many are looked at.
    """
    looked_at = [" . ".join(own) for own in islice(captions, images)]
    naming = [own for own in looked_at if objects(re.sub(r"[^a-z']+", " ", own.lower()))]
    return bool(naming) and 3 * len(naming) >= len(looked_at)
