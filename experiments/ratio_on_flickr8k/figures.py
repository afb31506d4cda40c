"""The endpoint of each system, with its interval over seeds and images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.forest import draw_forest
from experiments.ratio_on_flickr8k.arms import MORE
from experiments.ratio_on_flickr8k.verdict import System, differences
from gan_caption.metrics.bootstrap import mean_interval
from gan_caption.reporting.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def systems_figure(systems: Mapping[str, System]) -> Figure:
    """Draw the judge's AUC of each system and, where that is known, its difference to more maximum likelihood."""
    told = {name: (system.mean_auc, *mean_interval(system.auc)) for name, system in systems.items()}
    less = {name: (one.value, *one.interval) for name, one in differences(systems).items()}
    figure = new_figure(11.0 if less else 6.5, 0.3 * len(told) + 1.2)
    first, *second = figure.subplots(1, 2 if less else 1, squeeze=False).flatten()
    draw_forest(first, told, even=0.5)
    first.set_xlabel("judge's AUC (.5: as people)\n95% over seeds and images")
    for axes in second:
        draw_forest(axes, less, even=0)
        axes.set_xlabel(f"AUC less that of {MORE.name}\n95% over seeds and images")
    return figure
