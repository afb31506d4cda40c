"""The figures of a comparison: quality against diversity, and how training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gan_caption.evaluation.systems import System
from gan_caption.extras import require
from gan_caption.files import write_atomically
from gan_caption.metrics.calibration import Reliability
from gan_caption.metrics.metric import Metric
from gan_caption.metrics.standard import STANDARD
from gan_caption.reporting.equal_quality import FAMILIES, of_family

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = {
    "reward/mean": "reward of samples",
    "policy/entropy": "entropy of the policy, nats a token",
    "discriminator/accuracy_real": "D: accuracy on real captions",
    "discriminator/accuracy_generated": "D: accuracy on generated captions",
    "discriminator/accuracy_mismatched": "D: accuracy on captions of other images",
    "discriminator/accuracy_edited": "D: accuracy on captions with one word replaced",
}
"""What is drawn of the training beside validation's metrics, by logged name."""
_COLOURS = [
    *(f"C{index}" for index in range(10)), "black", "darkblue", "darkred", "darkgreen", "gold", "hotpink", "teal",
    "chocolate", "indigo", "yellowgreen",
]  # fmt: skip
"""Of systems that are no controls: matplotlib's ten and others that differ from them."""
_SMOOTHED = 0.1
"""Weight of a new value in the drawn moving average."""


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, sizes in inches.

    Raises:
        UserError: matplotlib is missing.
    """
    require("matplotlib", extra="report", what="figures")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG and as PNG; `path` has no ending."""
    for ending in ("svg", "png"):
        write_atomically(
            path.with_suffix(f".{ending}"),
            lambda file, ending=ending: figure.savefig(file, format=ending, dpi=130),  # type: ignore[misc]
        )


def quality_against_diversity(
    systems: Sequence[System], humans: Mapping[str, float], *, quality: Metric, diversity: Metric
) -> Figure:
    """Draw each system's curve over temperatures (a line) and over nuclei (dots), the mean over its seeds.

    The ring is temperature 1 over all words. Humans are a star: each against the others of the same images.

    Args:
        systems: names that begin with "control" are drawn in grey.
        humans: by metric.
        quality: the vertical axis.
        diversity: the horizontal axis.

    Raises:
        UserError: matplotlib is missing.
    """
    figure = new_figure(6.4, 4.6)
    axes = figure.subplots()
    colours = _colours(systems)
    for system in systems:
        families = {family: points for family in FAMILIES if (points := of_family(system, family))}
        for family, points in families.items():
            line = "-" if family == "temperature" else ":"
            across = system.along_curve(diversity.name, points).mean((0, 2)) * diversity.factor
            up = system.along_curve(quality.name, points).mean((0, 2)) * quality.factor
            label = in_legend(system.name) if family == next(iter(families)) else None
            axes.plot(across, up, line, marker=".", color=colours[system.name], label=label, linewidth=1.3)
            for index, point in enumerate(points):
                if system.runs[0].curve[point].temperature == system.runs[0].curve[point].top_p == 1:
                    axes.plot(across[index], up[index], "o", color=colours[system.name], fillstyle="none", markersize=9)
    if quality.name in humans and diversity.name in humans:
        place = humans[diversity.name] * diversity.factor, humans[quality.name] * quality.factor
        axes.plot(*place, "*", color="#d4a017", markersize=14, label="humans")
    axes.set_xlabel(f"{diversity.label}   (right: more varied)")
    axes.set_ylabel(f"{quality.label}   (up: better)")
    axes.legend(fontsize=8)
    plain(axes)
    return figure


def reliability_diagram(systems: Sequence[System]) -> Figure | None:
    """Draw the share of people's captions against the probability that each system's discriminator gives them.

    A line a seed, of systems that have a discriminator. None where no system has one.

    Raises:
        UserError: matplotlib is missing.
    """
    known = [system for system in systems if any(run.calibration for run in system.runs)]
    if not known:
        return None
    figure = new_figure(5.0, 4.4)
    axes = figure.subplots()
    draw_diagonal(axes)
    colours = _colours(systems)
    for system in known:
        own = [run.calibration for run in system.runs if run.calibration]
        for index, bins in enumerate(own):
            points = [(one.probability, one.people, one.captions) for one in bins]
            label = None if index else in_legend(system.name)
            draw_reliability(axes, points, color=colours[system.name], alpha=0.8, label=label)
    plain(axes)
    axes.set_ylabel("share that people wrote")
    axes.set_xlabel("probability that a person wrote it, in D's eyes")
    axes.legend(fontsize=8)
    return figure


def confidence_diagram(reliability: Reliability, event: str) -> Figure:
    """Draw the share of right captions against the probability that they are, bins of equally many captions.

    Args:
        reliability: of probabilities.
        event: what is right, in words.

    Raises:
        UserError: matplotlib is missing.
    """
    figure = new_figure(4.6, 4.4)
    axes = figure.subplots()
    draw_diagonal(axes)
    draw_reliability(axes, reliability.bins)
    plain(axes)
    axes.set_xlabel("confidence, fitted on other captions")
    axes.set_ylabel(f"share that is right\n({event})")
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.02, 1.02)
    return figure


def draw_reliability(axes: Axes, bins: Sequence[tuple[float, float, int]], **style: Any) -> None:
    """Draw how often something is so against the probability that it is (Guo et al. 2017, arXiv 1706.04599, figure 1).

    Bars are two binomial standard errors, within 0 and 1.

    Args:
        axes: to draw on.
        bins: the mean probability, the share that is so, and the number of cases of each.
        style: of the line.
    """
    told, shares, counts = map(np.array, zip(*bins, strict=True))
    errors = 2 * np.sqrt(shares * (1 - shares) / counts)
    ends = [np.minimum(errors, shares), np.minimum(errors, 1 - shares)]
    axes.errorbar(told, shares, ends, fmt=".-", linewidth=1.2, capsize=2, **style)


def draw_diagonal(axes: Axes) -> None:
    """Draw where a probability is what it says; what else is drawn sets how much of it is seen."""
    axes.axline((0.5, 0.5), slope=1, linestyle="--", color="0.6", linewidth=1)


def learning_curves(systems: Sequence[System], own: Sequence[Metric] = ()) -> Figure | None:
    """Draw what was logged while training: a panel a phase and name, a line a seed, over the phase's updates.

    None where nothing of `CURVES` was logged, nor CIDEr-D of validation, nor one of the user's own metrics.

    Raises:
        UserError: matplotlib is missing.
    """
    validated = (STANDARD["cider_d"], *own)
    labels = {**CURVES, **{f"val/{metric.name}": f"{metric.label} of validation" for metric in validated}}
    factors = {f"val/{metric.name}": metric.factor for metric in validated}
    records = [record for system in systems for run in system.runs for record in run.records]
    phases = dict.fromkeys(record["phase"] for record in records)
    shown = [
        (phase, name)
        for phase in phases
        for name in labels
        if any(name in record and record["phase"] == phase for record in records)
    ]
    if not shown:
        return None
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(4.2 * columns, 2.7 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    colours = _colours(systems)
    for panel in panels[len(shown) :]:
        panel.axis("off")
    for panel, (phase, name) in zip(panels, shown, strict=False):
        for system in systems:
            known = [(steps, values) for steps, values in
                     (logged(run.records, phase, name) for run in system.runs) if steps]  # fmt: skip
            for index, (steps, values) in enumerate(known):
                shown_as = [value * factors.get(name, 1.0) for value in values]
                label = in_legend(system.name) if index == 0 else None
                panel.plot(steps, shown_as, color=colours[system.name], linewidth=1, alpha=0.8, label=label)
        panel.set_title(f"{phase}: {labels[name]}", fontsize=9, loc="left")
        panel.set_xlabel("updates of the phase", fontsize=8)
        panel.legend(fontsize=7)
        plain(panel)
    return figure


def logged(records: Sequence[Mapping[str, Any]], phase: str, name: str) -> tuple[list[int], list[float]]:
    """Return a name's numbers in a phase, over the phase's updates; smoothed, except for validations."""
    begin = 0
    for record in records:
        if record["phase"] == phase:
            break
        begin = record["step"]
    known = [(record["step"] - begin, value) for record in records
             if record["phase"] == phase and isinstance(value := record.get(name), int | float)]  # fmt: skip
    values = [value for _, value in known]
    return [step for step, _ in known], values if name.startswith("val/") else smoothed(values)


def smoothed(values: Sequence[float]) -> list[float]:
    """Return the exponential moving average, without the bias of its beginning (Adam's correction)."""
    average, weight, told = 0.0, 0.0, []
    for value in values:
        average = (1 - _SMOOTHED) * average + _SMOOTHED * value
        weight = (1 - _SMOOTHED) * weight + _SMOOTHED
        told.append(average / weight)
    return told


def _colours(systems: Sequence[System]) -> dict[str, str]:
    """Return a colour a system; controls are greys."""
    controls = [system.name for system in systems if system.name.startswith("control")]
    greys = {name: str(0.35 + 0.4 * index / max(1, len(controls))) for index, name in enumerate(controls)}
    others = [system.name for system in systems if system.name not in greys]
    return greys | {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(others)}


def in_legend(name: str) -> str:
    """Return a name as matplotlib shows it as it is: between two `$` it reads a formula, after `_` it leaves it out."""
    escaped = name.replace("$", r"\$")
    return f" {escaped}" if name.startswith("_") else escaped


def plain(axes: Axes) -> None:
    """Take off what a panel does not need: two spines, dark lines, large ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.tick_params(labelsize=8)
