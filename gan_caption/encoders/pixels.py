"""From images to pixels, and what encoders with published weights share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn


@dataclass(frozen=True)
class Geometry:
    """Resize the shorter side, crop the middle.

    Sides are rounded, where torchvision cuts the longer one off and timm the shorter one: of some shapes (640 x 427)
    the picture is a pixel larger than theirs, of squares with a share of .875 it is the same.
    """

    size: int
    """Pixels a side of the crop."""
    share: float = 1.0
    """The crop's side / the resized shorter side."""
    resampling: Image.Resampling = field(default=Image.Resampling.BICUBIC, repr=False)
    """Pillow's filter of the resizing; whose filter is another says so in its own description."""

    def __call__(self, image: Image.Image) -> Tensor:
        """Return pixels (3, size, size) uint8."""
        if image.size != (self.size, self.size) or self.share != 1:
            shorter = round(self.size / self.share)
            scale = shorter / min(image.size)
            width, height = (max(round(side * scale), self.size) for side in image.size)
            image = image.resize((width, height), self.resampling)
            left, top = (width - self.size) // 2, (height - self.size) // 2
            image = image.crop((left, top, left + self.size, top + self.size))
        return to_pixels(image)


@dataclass(frozen=True)
class Stretch:
    """Resize to a square, whatever the shape."""

    size: int
    """Pixels a side."""

    def __call__(self, image: Image.Image) -> Tensor:
        """Return pixels (3, size, size) uint8."""
        return to_pixels(image.resize((self.size, self.size), Image.Resampling.BILINEAR))


def to_pixels(image: Image.Image) -> Tensor:
    """Return an RGB image as pixels (3, H, W) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def without_batch_statistics(module: nn.Module) -> None:
    """Let batch normalisation use its stored statistics, in training too."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
