"""The diversity that systems leave at equal quality, relative to the baseline's curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gan_caption.evaluation.systems import System
from gan_caption.metrics.curves import Curve, NoCommonQuality, at_equal_quality
from gan_caption.metrics.metric import Metrics, on_curves
from gan_caption.metrics.standard import STANDARD

FAMILIES = {"temperature": "temperatures, all words", "top_p": "nuclei, temperature 1"}


@dataclass(frozen=True)
class Verdict:
    """How a system's curve lies to the baseline's."""

    system: str
    family: str
    """Of the points that were joined: a key of `FAMILIES`."""
    quality: str
    diversity: str
    difference: float | None
    """In diversity at equal quality, the mean over the qualities that both reach; None where there are none."""
    interval: tuple[float, float] | None
    """95%, over seeds and images."""
    verdict: str


def verdicts(systems: Sequence[System], baseline: System, metrics: Metrics = STANDARD) -> list[Verdict]:
    """Compare each system's curves with the baseline's, by the metrics that curves show; see `metrics.curves`."""
    told = []
    for system in systems:
        if system is baseline:
            continue
        for family in FAMILIES:
            points = of_family(baseline, family)
            known = baseline.runs[0].curve[0].values if len(points) > 1 else {}
            for quality in on_curves(metrics, "quality"):
                for diversity in on_curves(metrics, "diversity"):
                    if quality.name in known and diversity.name in known:
                        told.append(_verdict(system, baseline, family, points, quality.name, diversity.name))
    return told


def of_family(system: System, family: str) -> list[int]:
    """Return which points of the curve belong to a family, from the coldest to the warmest."""
    curve = system.runs[0].curve
    other = "top_p" if family == "temperature" else "temperature"
    rows = [row for row, point in enumerate(curve) if getattr(point, other) == 1]
    return sorted(rows, key=lambda row: getattr(curve[row], family))


def _verdict(
    system: System, baseline: System, family: str, points: Sequence[int], quality: str, diversity: str
) -> Verdict:
    own, other = (
        Curve(one.along_curve(quality, points), one.along_curve(diversity, points)) for one in (system, baseline)
    )
    try:
        told = at_equal_quality(own, other)
    except NoCommonQuality:
        return Verdict(system.name, family, quality, diversity, None, None, "no quality in common")
    return Verdict(system.name, family, quality, diversity, told.mean, told.interval, told.verdict)
