"""A figure of quality against diversity: points of methods beside a curve over temperatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gan_caption.files import write_atomically
from gan_caption.reporting.figures import in_legend, new_figure
from gan_caption.reporting.seeds import interval


@dataclass(frozen=True)
class Axis:
    """What is shown on an axis."""

    metric: str
    """Its documented name."""
    label: str
    """What the figure calls it, with its direction."""
    factor: float = 1.0
    """The metric is multiplied by it."""


def trade_off(
    path: Path,
    *,
    across: Axis,
    up: Axis,
    methods: Mapping[str, Sequence[Mapping[str, float]]],
    curve: Mapping[float, Sequence[Mapping[str, float]]],
    curve_name: str,
) -> None:
    """Write a PNG: every method a point with its 95% intervals over seeds, and a curve through the temperatures.

    Args:
        path: of the PNG.
        across: the horizontal axis.
        up: the vertical axis.
        methods: by name, the metrics of each seed; names that begin with "control" are drawn as controls.
        curve: by temperature, the metrics of each seed.
        curve_name: what the figure calls the curve.

    Raises:
        UserError: matplotlib or scipy is missing.
    """

    def place(runs: Sequence[Mapping[str, float]], axis: Axis) -> tuple[float, float]:
        return interval([run[axis.metric] * axis.factor for run in runs])

    figure = new_figure(9, 6)
    axes = figure.subplots()
    centres = {temperature: [place(runs, axis)[0] for axis in (across, up)] for temperature, runs in curve.items()}
    line = [centres[temperature] for temperature in sorted(centres)]
    axes.plot(*zip(*line, strict=True), "-o", color="0.6", markersize=4, label=curve_name, zorder=1)
    for temperature, (x, y) in centres.items():
        axes.annotate(f"{temperature:g}", (x, y), xytext=(4, -10), textcoords="offset points", fontsize=7, color="0.5")
    for index, (name, runs) in enumerate(methods.items()):
        (x, x_half), (y, y_half) = place(runs, across), place(runs, up)
        marker = "x" if name.startswith("control") else "osD^vP*"[index // 10 % 7]
        axes.errorbar(
            x,
            y,
            xerr=x_half,
            yerr=y_half,
            fmt=marker,
            color=f"C{index % 10}",
            label=in_legend(name),
            elinewidth=0.7,
            zorder=2,
        )
    axes.set_xlabel(across.label)
    axes.set_ylabel(up.label)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=120))
