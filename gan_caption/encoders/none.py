"""No image at all: for corpora that are sequences alone. Shapes: B images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from gan_caption.data.corpus import Split
from gan_caption.data.features import FeatureSource, ImageFeatures
from gan_caption.encoders.base import Encoder


class NoImage(Encoder):
    """The same zero for every image; no image is read."""

    pooled_size = 1
    grid_size = 1
    regions = 1
    finetune = False

    @property
    def description(self) -> str:
        """Nothing to describe."""
        return "none"

    def preprocess(self, image: Image.Image) -> Tensor:
        """Return one black pixel (3, 1, 1)."""
        del image
        return torch.zeros(3, 1, 1, dtype=torch.uint8)

    def forward(self, pixels: Tensor) -> ImageFeatures:
        """Return zeros: pooled (B, 1) and grid (B, 1, 1)."""
        return no_image(len(pixels), pixels.device)

    def source(
        self,
        split: Split,
        *,
        cache: Path,
        skip_unreadable: bool,
        device: torch.device,
        progress: Callable[[int, int], None],
    ) -> FeatureSource:
        """Return the zeros of a split; see `Encoder.source`."""
        del cache, skip_unreadable, device, progress
        return ZeroFeatures(split)


class ZeroFeatures:
    """Zeros for every row."""

    def __init__(self, split: Split) -> None:
        """Hold the split."""
        self.split = split

    def features(self, rows: Sequence[int], *, grid: bool, device: torch.device) -> ImageFeatures:
        """Return zeros for these rows."""
        del grid
        return no_image(len(rows), device)


def no_image(count: int, device: torch.device) -> ImageFeatures:
    """Return the features of no image, `count` times: pooled (B, 1) and grid (B, 1, 1), zeros."""
    return ImageFeatures(torch.zeros(count, 1, device=device), torch.zeros(count, 1, 1, device=device))
