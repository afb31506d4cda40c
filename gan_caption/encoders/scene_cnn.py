"""A small CNN for drawn scenes, learned from scratch together with the captioner."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.data.features import ImageFeatures
from gan_caption.encoders.base import Encoder
from gan_caption.encoders.pixels import to_pixels
from gan_caption.errors import at_least

_SIDE = 64
_CELLS = 3
"""The image vector keeps the strongest answers of 3 x 3 parts of the picture, so that it can tell left from right."""


class SceneCNN(Encoder):
    """Three strided convolutions: a grid of 8 x 8 regions, and an image vector that still knows where things are."""

    def __init__(self, *, width: int = 32, finetune: bool = True) -> None:
        """Build the network.

        Args:
            width: channels of the first layer; the grid has four times as many.
            finetune: learn along in the maximum-likelihood phase. Without, it stays random.
        """
        super().__init__()
        at_least(1, width=width)
        self.width = width
        self.finetune = finetune
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
            # No batch normalisation: an image's features must not depend on the other images of its batch.
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        for layer in self.body:
            if isinstance(layer, nn.Conv2d):  # torch's default would let the picture fade from layer to layer
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.requires_grad_(finetune)
        self.grid_size = 4 * width
        self.regions = (_SIDE // 8) ** 2
        self.pooled_size = _CELLS**2 * self.grid_size

    @property
    def description(self) -> str:
        """Architecture and preprocessing."""
        return f"scene_cnn, width {self.width}, {_SIDE} x {_SIDE}"

    def preprocess(self, image: Image.Image) -> Tensor:
        """Resize to 64 x 64, whatever the shape."""
        return to_pixels(image if image.size == (_SIDE, _SIDE) else image.resize((_SIDE, _SIDE)))

    def forward(self, pixels: Tensor) -> ImageFeatures:
        """Return the grid (B, 64, D) and the image vector (B, 9 * D)."""
        bright = (pixels.float() / 255 - 0.9) * 4  # the background of scenes is about 0
        found = self.body(bright.to(memory_format=torch.channels_last))
        pooled = functional.adaptive_max_pool2d(found, _CELLS)
        return ImageFeatures(pooled=pooled.flatten(1), grid=found.flatten(2).transpose(1, 2))
