"""What an encoder knows of a batch of images. Shapes: B images, R regions, D grid channels, P pooled channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

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

    def __len__(self) -> int:
        return self.pooled.shape[0]

    def select(self, rows: Tensor) -> ImageFeatures:
        """Return the features of these rows, in this order (a row may come twice)."""

        def pick(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.index_select(0, rows)

        return ImageFeatures(self.pooled.index_select(0, rows), pick(self.grid), pick(self.regions))

    def detach(self) -> ImageFeatures:
        """Return the same features, cut off from the encoder's graph."""

        def cut(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.detach()

        return ImageFeatures(self.pooled.detach(), cut(self.grid), self.regions)


class FeatureSource(Protocol):
    """Features of one split's images, by row number."""

    @property
    def split(self) -> Split:
        """The split whose rows these are (unreadable images removed, where that was asked for)."""
        ...

    def features(self, rows: Sequence[int], *, grid: bool, device: torch.device) -> ImageFeatures:
        """Return the features of these rows; with `grid=False` the grid may be left out."""
        ...
