"""A picture of images with what each system says of them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_caption.files import write_atomically
from gan_caption.reporting.figures import new_figure

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
    rows = -(-len(images) // columns)
    figure = new_figure(3.0 * columns, 4.1 * rows)
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
                0, place, text, transform=axis.transAxes, va="top", size=9.5, color="#b3261e" if wrong else "#1b1b1b",
                parse_math=False,  # a price is no formula
            )  # fmt: skip
            place -= 0.075 * (text.count("\n") + 1) + 0.03
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=110, bbox_inches="tight"))
