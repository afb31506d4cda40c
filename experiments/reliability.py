"""Panels that show how far discriminators can be relied on, each drawn as `draw_reliability` has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gan_caption.metrics.separation import Bin
from gan_caption.reporting.figures import draw_diagonal, draw_reliability, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 5
"""Panels side by side."""


def reliability_figure(panels: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure | None:
    """Draw a panel for each discriminator, by name, of the bins that its run keeps; None where there are none.

    Each has a scale of its own: who knows little stays near .5.
    """
    if not panels:
        return None
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(2.6 * columns, 2.6 * rows + 0.4)
    places = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in places[len(panels) :]:
        axes.axis("off")
    for axes, (name, bins) in zip(places, panels.items(), strict=False):
        draw_diagonal(axes)
        draw_reliability(axes, [_bin(one)[1:] for one in bins])
        axes.set_title(name, fontsize=8, loc="left")
        plain(axes)
    figure.supxlabel("probability that a person wrote it, in D's eyes", fontsize=9)
    figure.supylabel("share that people wrote", fontsize=9)
    return figure


def _bin(kept: Mapping[str, float]) -> Bin:
    """Take back what JSON kept."""
    return Bin(kept["weight"], kept["probability"], kept["people"], int(kept["captions"]))
