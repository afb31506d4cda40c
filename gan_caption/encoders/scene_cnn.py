"""A small CNN for drawn scenes, learned from scratch together with the captioner."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.data.features import ImageFeatures
from gan_caption.encoders.base import Encoder
from gan_caption.encoders.pixels import Stretch
from gan_caption.errors import at_least

_SIDE = 48
"""Pictures are reduced to this side; their cells are then 16 pixels, in step with the strides."""


class SceneCNN(Encoder):
    """Three convolutions: a grid of 6 x 6 regions, and an image vector of 3 x 3 cells, which knows where things are."""

    def __init__(self, *, width: int, finetune: bool) -> None:
        """Build the network.

        Args:
            width: channels of the first layer, at least 1; the grid has four times as many.
            finetune: learn, in the phases before the adversarial ones. Without, it stays random.
        """
        super().__init__()
        at_least(1, width=width)
        self.width = width
        self.finetune = finetune
        self.geometry = Stretch(size=_SIDE)
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((3, width, 2), (width, 2 * width, 2), (2 * width, 4 * width, 1)):
            # No batch normalisation: an image's features must not depend on the other images of its batch.
            convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
            nn.init.kaiming_normal_(
                convolution.weight, nonlinearity="relu"
            )  # else the picture fades from layer to layer
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
            layers += [convolution, nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.requires_grad_(finetune)
        self.grid_size = 4 * width
        self.regions = 6 * 6
        self.pooled_size = 3 * 3 * self.grid_size

    @property
    def description(self) -> str:
        """Architecture and preprocessing."""
        return f"scene_cnn, width {self.width}, {_SIDE} x {_SIDE}"

    def preprocess(self, image: Image.Image) -> Tensor:
        """Resize to 48 x 48, whatever the shape."""
        return self.geometry(image)

    def forward(self, pixels: Tensor) -> ImageFeatures:
        """Return the grid (B, 36, D) and the image vector (B, 9 * D)."""
        bright = (pixels.float() / 255 - 0.9) * 4  # the background of scenes is about 0
        grid = functional.max_pool2d(self.body(bright.to(memory_format=torch.channels_last)), 2)
        pooled = functional.max_pool2d(grid, 2)
        return ImageFeatures(pooled=pooled.flatten(1), grid=grid.flatten(2).transpose(1, 2))
