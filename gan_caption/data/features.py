"""What an encoder knows of a batch of images. Shapes: B images, R regions, D grid channels, P pooled channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.corpus import Split


@dataclass(frozen=True)
class ImageFeatures:
    """Features of B images; captions that belong to them come as B * K rows, K neighbours an image."""

    pooled: Tensor
    """(B, P) float: one vector an image."""
    grid: Tensor | None = None
    """(B, R, D) float: one vector a region; None where nobody asked for it."""
    regions: Tensor | None = None
    """(B,) long: how many of the R rows are real, where it varies; None: all of them."""
    rows: Tensor | None = None
    """(B,) long: the images' row numbers in their split; None where the images belong to no split."""
    noise: Tensor | None = None
    """(B, Z) float: the noise vector z of a generator that has one; None stands for z = 0."""
    pixels: Tensor | None = None
    """(B, 3, H, W) uint8: what was encoded; None where no discriminator reads it."""

    def __len__(self) -> int:
        return self.pooled.shape[0]

    def select(self, rows: Tensor) -> ImageFeatures:
        """Return the features of these rows, in this order (a row may come twice)."""
        return self.map(lambda tensor: tensor.index_select(0, rows))

    def detach(self) -> ImageFeatures:
        """Return the same features, cut off from the encoder's graph."""
        return self.map(Tensor.detach)

    def map(self, change: Callable[[Tensor], Tensor]) -> ImageFeatures:
        """Return the features with every tensor that is there changed alike."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        changed: dict[str, Any] = {name: None if value is None else change(value) for name, value in values}
        return ImageFeatures(**changed)


def narrowed(features: ImageFeatures, captions: Captions) -> tuple[ImageFeatures, Captions]:
    """Return the features of those images alone that captions (N) are of, and the captions as theirs."""
    images, own = captions.images.unique(return_inverse=True)
    return features.select(images), replace(captions, images=own)


class FeatureSource(Protocol):
    """Features of one split's images, by row number."""

    @property
    def split(self) -> Split:
        """The split whose rows these are (unreadable images removed, where that was asked for)."""
        ...

    def features(self, rows: Sequence[int], *, grid: bool, device: torch.device) -> ImageFeatures:
        """Return the features of these rows; with `grid=False` the grid may be left out."""
        ...


class FirstImages:
    """The first images of another source."""

    def __init__(self, source: FeatureSource, count: int) -> None:
        """Keep `count` images, or all where there are fewer."""
        self._source = source
        self.split = source.split.select(range(min(count, len(source.split))))

    def features(self, rows: Sequence[int], *, grid: bool, device: torch.device) -> ImageFeatures:
        """Return the features of these rows; see `FeatureSource.features`."""
        return self._source.features(rows, grid=grid, device=device)
