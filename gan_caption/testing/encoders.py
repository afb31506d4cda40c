"""The contract of an encoder as a test. Shapes: B images, R regions, D grid channels, P pooled channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image

from gan_caption.encoders.base import Encoder
from gan_caption.modes import evaluating, in_eval_mode
from gan_caption.testing.comparing import check, check_equal, check_gradients, untouched


def check_encoder(encoder: Encoder, images: Sequence[Image.Image], *, tolerance: float = 1e-4) -> None:
    """Check that an encoder keeps the contract of `gan_caption.encoders.base.Encoder`.

    - pixels are (3, H, W) uint8, of one size whatever the image's;
    - the features have the sizes that it declares, and are finite;
    - the other images of a batch, and their order, change nothing; in eval mode nothing is random;
    - where it learns along (`finetune`), gradients reach every parameter.

    Args:
        encoder: with random weights. It is checked in eval mode.
        images: at least two, RGB.
        tolerance: the most that two ways to the same number may differ, in parts of it or absolutely.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    check(len(images) >= 2, "check_encoder needs at least two images")
    prepared = [encoder.preprocess(image) for image in images]
    for one in prepared:
        check(
            one.dtype == torch.uint8 and one.dim() == 3 and one.shape[0] == 3,
            f"preprocess returned {tuple(one.shape)} {one.dtype}: (3, H, W) uint8 are wanted",
        )
        check(one.shape == prepared[0].shape, "preprocess must make all images one size: they are stacked")
    check(torch.equal(encoder.preprocess(images[0]), prepared[0]), "preprocess must be the same each time")
    device = next((own.device for own in (*encoder.parameters(), *encoder.buffers())), torch.device("cpu"))
    pixels = torch.stack(prepared).to(device)
    count = len(images)
    with evaluating(encoder):
        with untouched("forward", pixels=pixels):
            features = encoder(pixels)
        wanted: dict[str, tuple[int, ...]] = {"pooled": (count, encoder.pooled_size)}
        if features.grid is not None:
            wanted["grid"] = (count, features.grid.shape[1], encoder.grid_size)
            check(
                features.grid.shape[1] <= encoder.regions,
                f"grid has {features.grid.shape[1]} regions, and regions={encoder.regions} are declared as the most",
            )
        for name, shape in wanted.items():
            found = getattr(features, name)
            check(found.shape == shape, f"{name} is {tuple(found.shape)}: {shape} are declared")
            check(found.isfinite().all(), f"{name} is NaN or infinite")
        turned = encoder(pixels.flip(0))
        for name in wanted:
            values = getattr(features, name)
            message = f"{name}: the order of images must not change their features"
            check_equal(getattr(turned, name).flip(0), values, message, tolerance=tolerance)
            for row in range(count):
                one = getattr(encoder(pixels[row : row + 1]), name)[0]
                message = f"{name}: the other images of a batch must not change an image's features"
                check_equal(one, values[row], message, tolerance=tolerance)
    check(encoder.fingerprint == encoder.fingerprint, "the fingerprint must be the same each time")
    if encoder.finetune:
        with in_eval_mode(encoder):
            features = encoder(pixels)
            read = [own for own in (features.pooled, features.grid) if own is not None]
            check_gradients(encoder, torch.stack([own.square().sum() for own in read]).sum(), of="the features")
