"""Figures of the ladder and of the arms; None where there is nothing to show yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from experiments.forest import draw_forest
from experiments.ratio_on_scenes.ladder import EVERY, best_possible
from experiments.ratio_on_scenes.verdict import MARGIN
from experiments.reliability import reliability_figure
from gan_caption.reporting.figures import new_figure, plain
from gan_caption.reporting.seeds import interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Rungs = Mapping[str, Mapping[str, Any]]
"""By discriminator, see `ladder.known`."""


def ladder_figure(rungs: Rungs) -> Figure | None:
    """Draw the AUC on held-out images over D's steps, a line a discriminator, beside that of the best possible one.

    A ring is what is kept: the weights with the lowest log-loss, which need not be the last ones.
    """
    if not rungs:
        return None
    figure = new_figure(8.5, 4.8)
    axes = figure.subplots()
    for place, (name, rung) in enumerate(rungs.items()):
        steps, auc = [int(step) for step in rung["auc"]], list(rung["auc"].values())
        axes.plot(steps, auc, ".-", color=f"C{place}", linewidth=1.2, label=name)
        end = max(steps, default=0) + EVERY
        axes.plot(end, rung["kept_auc"], "o", color=f"C{place}", fillstyle="none", markersize=7)
    for style, (of, best) in zip(cycle(("--", ":", "-.")), best_possible(rungs).items(), strict=False):
        axes.axhline(best["best_auc"], color="black", linestyle=style, linewidth=1, label=of)
    axes.set_xlabel("steps of D; rings: as kept")
    axes.set_ylabel("AUC on held-out images")
    plain(axes)
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def calibration_figure(rungs: Rungs) -> Figure | None:
    """Draw how far the calibrated discriminators can be relied on, a panel each, on test images that nobody has seen.

    The last panel is the best possible one's. Records from before this was kept are not in the figure.
    """
    panels = {name: rung["reliability"] for name, rung in rungs.items() if "reliability" in rung}
    if not panels:
        return None
    panels["the best possible"] = next(rung for rung in rungs.values() if "reliability" in rung)["best_reliability"]
    return reliability_figure(panels)


def differences_figure(compared: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure | None:
    """Draw each system's divergence less that of its rivals, a panel a rival, with its 95% interval and the margin.

    Args:
        compared: by rival and system, the paired differences, see `verdict.compared`.
    """
    panels = {rival: own for rival, own in compared.items() if own}
    if not panels:
        return None
    figure = new_figure(6.5 * len(panels), 0.3 * max(map(len, panels.values())) + 1.2)
    for axes, (rival, systems) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        ends = {name: interval(own) for name, own in systems.items()}
        axes.axvspan(-MARGIN, MARGIN, color="0.9")
        draw_forest(axes, {name: (mean, mean - half, mean + half) for name, (mean, half) in ends.items()}, even=0)
        axes.set_xlabel(f"JSD less that of {rival}, nats\n95% over seeds (left: nearer to the data; grey: equivalent)")
    return figure
