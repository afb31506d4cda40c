"""A forest plot: a row a system, its estimate with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from gan_caption.reporting.figures import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Estimates = Mapping[str, tuple[float, float, float]]
"""By system: a value and both ends of its interval, NaN where it has none."""


def draw_forest(axes: Axes, estimates: Estimates, *, even: float) -> None:
    """Draw the systems from top to bottom in their order.

    Args:
        axes: to draw on.
        estimates: at least one.
        even: the value that says that there is nothing to see; a line marks it.
    """
    values, low, high = np.array(list(estimates.values())).T
    rows = np.arange(len(estimates))
    axes.axvline(even, color="0.6", linewidth=1)
    axes.errorbar(values, rows, xerr=[values - low, high - values], fmt="o", markersize=4, linewidth=1.2, capsize=3)
    axes.set_yticks(rows, list(estimates))
    axes.set_ylim(len(estimates) - 0.5, -0.5)
    plain(axes)
