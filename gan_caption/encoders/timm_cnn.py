"""Networks of the timm package, with their published weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from gan_caption.data.features import ImageFeatures
from gan_caption.encoders.base import Encoder
from gan_caption.encoders.pixels import Geometry, without_batch_statistics
from gan_caption.errors import UserError
from gan_caption.extras import require
from gan_caption.torchvision_import import import_torchvision


def create(model: str, *, pretrained: bool) -> nn.Module:
    """Return a timm network without its classifier.

    Raises:
        UserError: timm is missing, knows no such model, or cannot fetch its weights.
    """
    import_torchvision()  # timm imports it
    require("timm", extra="timm", what="networks of encoder=timm")
    import timm

    if not timm.is_model(model):
        import difflib

        near = difflib.get_close_matches(model, timm.list_models(), n=3)
        raise UserError(
            f"encoder.model={model} is not a model of timm {timm.__version__}; near: {', '.join(near) or '-'}"
        )
    try:
        network: nn.Module = timm.create_model(model, pretrained=pretrained, num_classes=0)
    except Exception as error:
        raise UserError(
            f"encoder.model={model}: its weights could not be had ({type(error).__name__}: {error}). They are fetched "
            "over the network at first use; check the connection, or give encoder.pretrained=false"
        ) from error
    return network


class TimmCNN(Encoder):
    """A network of timm: its last feature map, or its patch tokens, as the grid; their mean as the image vector."""

    mean: Tensor
    std: Tensor

    def __init__(self, *, model: str, pretrained: bool, finetune: bool) -> None:
        """Build the network.

        Args:
            model: its name in timm, e.g. "resnet50".
            pretrained: fetch the published weights; otherwise they are random.
            finetune: learn along in the maximum-likelihood phase.

        Raises:
            UserError: timm has no such model, cannot fetch its weights, or what it makes of an image has no regions.
        """
        super().__init__()
        self.model = model
        self.pretrained = pretrained
        self.finetune = finetune
        self.network = create(model, pretrained=pretrained)
        settings: dict[str, Any] = self.network.pretrained_cfg  # type: ignore[assignment]
        share, kind = settings.get("crop_pct") or 0.875, settings.get("interpolation", "bicubic").upper()
        filters = Image.Resampling.__members__  # "random" is no filter
        resampling = filters.get(kind, Image.Resampling.BICUBIC)
        self.geometry = Geometry(size=settings["input_size"][1], share=share, resampling=resampling)
        self._finish(mean=settings["mean"], std=settings["std"])

    def _finish(self, *, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Set the normalisation (of pixels in 0 to 1), and measure the features once."""
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)
        self.network.requires_grad_(self.finetune)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.eval()
        with torch.no_grad():
            self._check_regions()
            grid = self(torch.zeros(1, 3, self.geometry.size, self.geometry.size, dtype=torch.uint8)).grid
        _, self.regions, self.grid_size = grid.shape
        self.pooled_size = self.grid_size

    def _check_regions(self) -> None:
        """Look whether regions can be told from what else the network says of an image."""
        side = self.geometry.size
        made = self.network.forward_features(torch.zeros(1, 3, side, side))  # type: ignore[operator]
        if not isinstance(made, Tensor) or made.dim() not in (3, 4):
            raise UserError(f"encoder.model={self.model}: it makes no map and no tokens of an image; choose another")
        # Not all networks say how many tokens stand before the patches'; those of a square image are a square number.
        tokens = made.shape[1] - getattr(self.network, "num_prefix_tokens", 0)
        if made.dim() == 3 and (tokens == 1 or math.isqrt(tokens) ** 2 != tokens):
            told = "its one token is" if tokens == 1 else f"of its {tokens} tokens some are"
            raise UserError(
                f"encoder.model={self.model}: {told} not of regions, and timm does not say which are; choose another "
                "one, such as a vit or a deit"
            )

    @property
    def description(self) -> str:
        """Model, weights and geometry."""
        normal = f"mean {self.mean.flatten().tolist()}, std {self.std.flatten().tolist()}"
        other = self.geometry.resampling is not Image.Resampling.BICUBIC
        filtered = f", {self.geometry.resampling.name.lower()}" if other else ""
        return f"timm {self.model}, pretrained {self.pretrained}, {self.geometry}{filtered}, {normal}"

    def preprocess(self, image: Image.Image) -> Tensor:
        """Resize the shorter side and crop the middle, with the filter that the weights were published for.

        So it is where timm itself would squeeze a photograph into a square (its `crop_mode`) as well.
        """
        return self.geometry(image)

    def train(self, mode: bool = True) -> TimmCNN:
        """Train, but for the batch statistics: an image's features never depend on its batch."""
        super().train(mode)
        without_batch_statistics(self)
        return self

    def forward(self, pixels: Tensor) -> ImageFeatures:
        """Return the grid (B, R, D) and its mean (B, D)."""
        normal = (pixels.float() - self.mean) / self.std
        features = self.network.forward_features(normal.to(memory_format=torch.channels_last))  # type: ignore[operator]
        if features.dim() == 4 and getattr(self.network, "output_fmt", "NCHW") == "NHWC":  # Swin and its like
            grid = features.flatten(1, 2)
        elif features.dim() == 4:
            grid = features.flatten(2).transpose(1, 2)
        else:
            grid = features[:, getattr(self.network, "num_prefix_tokens", 0) :]
        grid = grid.contiguous()
        return ImageFeatures(pooled=grid.mean(1), grid=grid)
