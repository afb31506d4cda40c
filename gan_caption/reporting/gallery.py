"""A picture of images with what each system says of them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_caption.errors import UserError
from gan_caption.files import write_atomically

if TYPE_CHECKING:
    from PIL import Image


def gallery(
    path: Path,
    images: Sequence[Image.Image],
    captions: Sequence[Mapping[str, str]],
    *,
    false: Sequence[Sequence[str]] = (),
    columns: int = 4,
) -> None:
    """Write a PNG of images in rows, each above its captions.

    Args:
        path: of the PNG.
        images: n images.
        captions: of each image, by system.
        false: of each image, the systems whose caption is known to be false; they are set in red.
        columns: images a row.

    Raises:
        UserError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("figures need matplotlib: pip install 'gan_caption[report]'") from error
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(3.0 * columns, 4.1 * rows), layout="constrained", dpi=110)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes:
        axis.axis("off")
    for index, (axis, image, told) in enumerate(zip(axes, images, captions, strict=False)):
        axis.imshow(image, interpolation="nearest")
        place = -0.04
        for system, caption in told.items():
            wrong = bool(false) and system in false[index]
            text = textwrap.fill(f"{system}: {caption}", 38)
            axis.text(
                0, place, text, transform=axis.transAxes, va="top", size=9.5, color="#b3261e" if wrong else "#1b1b1b"
            )
            place -= 0.075 * (text.count("\n") + 1) + 0.03
    write_atomically(path, lambda file: figure.savefig(file, format="png", bbox_inches="tight"))
