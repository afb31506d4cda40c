"""Classification networks of torchvision, with their published weights."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from gan_caption.data.features import ImageFeatures
from gan_caption.encoders.base import Encoder
from gan_caption.encoders.pixels import Geometry, without_batch_statistics
from gan_caption.errors import UserError
from gan_caption.torchvision_import import import_torchvision

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet in 0 to 1, which most of torchvision's classification weights were published for."""


class TorchvisionCNN(Encoder):
    """A convolutional classifier of torchvision: its last feature map as the grid, the mean as the image vector."""

    mean: Tensor
    std: Tensor

    def __init__(self, *, model: str, weights: str | None, finetune: bool) -> None:
        """Build the network.

        Args:
            model: its name in `torchvision.models`, e.g. "resnet50".
            weights: the name of published weights, "DEFAULT" for the best; None for random ones.
            finetune: learn along in the maximum-likelihood phase.

        Raises:
            UserError: no such model or weights, they could not be had, or the network has no feature map.
        """
        super().__init__()
        self.model = model
        self.weights = weights
        self.finetune = finetune
        import_torchvision()
        from torchvision import models

        known = models.list_models(module=models)
        if model not in known:
            near = difflib.get_close_matches(model, known, n=3)
            raise UserError(f"encoder.model={model} is not a classifier of torchvision; near: {', '.join(near) or '-'}")
        published: Any = None
        if weights is not None:
            choices = models.get_model_weights(model)
            names = [*choices.__members__, "DEFAULT"]
            if weights not in names:
                raise UserError(f"encoder.weights={weights}: {model} has {', '.join(names)}, or null for random ones")
            published = choices[weights]
        try:
            network = self._network(model, published)
        except Exception as error:  # of a connection, or of a file that was cut short
            if published is None:
                raise
            raise UserError(
                f"encoder.model={model}: its weights could not be had ({type(error).__name__}: {error}). They come "
                "over the network at first use: check the connection, or put the file into torch's hub folder, where "
                "a damaged one must be deleted"
            ) from error
        self.geometry, mean, std = published_form(network, published)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)
        self.body = _body(network, model)
        self.body.requires_grad_(finetune)
        self.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.eval()
        with torch.no_grad():
            grid = self(torch.zeros(1, 3, self.geometry.size, self.geometry.size, dtype=torch.uint8)).grid
        _, self.regions, self.grid_size = grid.shape
        self.pooled_size = self.grid_size

    def _network(self, model: str, published: Any) -> nn.Module:
        from torchvision import models

        return models.get_model(model, weights=published)

    @property
    def description(self) -> str:
        """Model, weights, geometry and normalisation."""
        normal = f"mean {self.mean.flatten().tolist()}, std {self.std.flatten().tolist()}"
        filtered = self.geometry.resampling.name.lower()
        return f"torchvision {self.model}, weights {self.weights}, {self.geometry}, {filtered}, {normal}"

    def preprocess(self, image: Image.Image) -> Tensor:
        """Resize the shorter side and crop the middle, with the filter that the weights were published for."""
        return self.geometry(image)

    def train(self, mode: bool = True) -> TorchvisionCNN:
        """Train, but for the batch statistics: an image's features never depend on its batch."""
        super().train(mode)
        without_batch_statistics(self)
        return self

    def forward(self, pixels: Tensor) -> ImageFeatures:
        """Return the grid (B, R, D) and its mean (B, D)."""
        normal = (pixels.float() - self.mean) / self.std
        grid = self.body(normal.to(memory_format=torch.channels_last)).flatten(2).transpose(1, 2).contiguous()
        return ImageFeatures(pooled=grid.mean(1), grid=grid)


class TorchvisionForm(TorchvisionCNN):
    """The same network, whose weights whoever builds it loads, as those of an exported captioner: none are fetched."""

    def _network(self, model: str, published: Any) -> nn.Module:
        from torchvision import models

        # What torchvision builds otherwise when it loads published weights.
        own = {"transform_input": True, "aux_logits": False, "init_weights": False} if model == "googlenet" else {}
        return models.get_model(model, weights=None, **(own if published is not None else {}))


def published_form(network: nn.Module, published: Any) -> tuple[Geometry, Sequence[float], Sequence[float]]:
    """Return how the pixels of a network are made of an image, and the mean and deviation that normalise them.

    Args:
        network: of torchvision.
        published: its weights, as `torchvision.models` has them; None: random ones, which get the usual form.
    """
    if published is None:
        return Geometry(size=224, share=224 / 256, resampling=Image.Resampling.BILINEAR), _MEAN, _STD
    preset = published.transforms()
    crop, resize = preset.crop_size[0], preset.resize_size[0]
    geometry = Geometry(crop, crop / resize, Image.Resampling[preset.interpolation.name])
    if getattr(network, "transform_input", False):  # GoogLeNet and Inception turn it into this, before all layers
        return geometry, (0.5,) * 3, (0.5,) * 3
    return geometry, preset.mean, preset.std


def _body(network: nn.Module, name: str) -> nn.Module:
    """Return what comes before the pooling."""
    from torchvision import models

    body: nn.Module
    if isinstance(getattr(network, "features", None), nn.Module):  # the larger part of torchvision's classifiers
        body = network.get_submodule("features")
        if isinstance(network, models.DenseNet):  # which does this in `forward`
            body = nn.Sequential(body, nn.ReLU())
    else:  # ResNets and their like: what comes before `avgpool`
        layers = list(network.named_children())
        names = [layer for layer, _ in layers]
        if "avgpool" not in names:
            raise UserError(
                f"encoder.model={name} has no feature map before a pooling layer: take a CNN such as resnet50"
            )
        body = nn.Sequential(*(layer for _, layer in layers[: names.index("avgpool")]))
    try:
        with torch.no_grad():
            shape = body.eval()(torch.zeros(1, 3, 224, 224)).shape
    except RuntimeError as error:  # its layers are more than a sequence: Inception's auxiliary classifiers
        raise UserError(f"encoder.model={name} has no plain stack of layers: take a CNN such as resnet50") from error
    if len(shape) != 4 or shape[2] != shape[3]:
        raise UserError(f"encoder.model={name} gives features of shape {tuple(shape)}: take a CNN such as resnet50")
    return body
