"""Tables and a figure of the methods, with intervals over seeds and images. N images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.stats import ttest_1samp

from experiments.study import seen, write_png
from gan_caption.metrics.bootstrap import paired_difference
from gan_caption.metrics.holm import holm
from gan_caption.metrics.ngrams import Score
from gan_caption.reporting.figures import new_figure
from gan_caption.reporting.seeds import interval, with_interval
from gan_caption.reporting.table import markdown

BEAM = (
    ("cider_d", "CIDEr-D x 100", 100, 1), ("bleu_4", "BLEU-4 x 100", 100, 1), ("length", "words", 1, 1),
    ("chair_references_i", "objects no reference has, %", 100, 1),
    ("unsupported_nouns", "nouns no reference has, %", 100, 1),
)  # fmt: skip
SAMPLED = (
    ("sample_cider_d", "CIDEr-D x 100", 100, 1), ("self_cider", "Self-CIDEr", 1, 3), ("div_2", "Div-2", 1, 3),
    ("nll_per_token", "NLL a token", 1, 3), ("lm_nll", "LM score, nats", 1, 2),
    ("reverse_lm_nll", "reverse LM score, nats", 1, 2),
)  # fmt: skip
PEOPLE = "people, each beside the others"
LEVELS = 20
"""Of diversity, at which two curves are compared."""

Numbers = npt.NDArray[np.float64]
Found = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""By system and seed, see `measure.found`."""
Join = Callable[[Numbers, Numbers, Numbers], Numbers]
"""Of levels, and of a curve's diversity and quality: its quality at these levels."""


def lines(levels: Numbers, x: Numbers, y: Numbers) -> Numbers:
    """Join a curve's points by straight lines, which lie below a curve that bends down."""
    return np.interp(levels, x, y)


def smoothly(levels: Numbers, x: Numbers, y: Numbers) -> Numbers:
    """Join them by monotone cubics (Fritsch and Carlson 1980), which follow its bend."""
    return np.asarray(PchipInterpolator(x, y)(levels))


def height(curve: Sequence[Mapping[str, float]], baseline: Sequence[Mapping[str, float]], join: Join = lines) -> float:
    """Return how much more quality a curve has than another, the mean over the diversity that both reach; else NaN.

    Args:
        curve: CIDEr-D of samples by Self-CIDEr.
        baseline: the other.
        join: how the points of each are joined.
    """
    own, other = (_by_diversity(one) for one in (curve, baseline))
    low, high = max(own[0][0], other[0][0]), min(own[-1][0], other[-1][0])
    if low >= high:
        return math.nan
    levels = np.linspace(low, high, LEVELS)
    return float(np.mean(join(levels, *np.transpose(own)) - join(levels, *np.transpose(other))))


def _by_diversity(curve: Sequence[Mapping[str, float]]) -> list[tuple[float, float]]:
    """Return a curve's points by rising diversity; of those that are equally diverse the best one."""
    best: dict[float, float] = {}
    for point in curve:
        quality = point["sample_cider_d"]
        best[point["self_cider"]] = max(quality, best.get(point["self_cider"], quality))
    return sorted(best.items())


def table_of_beams(found: Found, baseline: str) -> str:
    """Return a Markdown table of captions by beam 5, with CIDEr-D less the baseline's, over seeds and images.

    A system that shares no seed with the baseline, which may not be there at all, is not compared.
    """
    labels = [label for _, label, *_ in BEAM]
    rows = [["beam 5", "seeds", "minutes", *labels, f"CIDEr-D less that of {baseline}", "p (Holm)"]]
    differences = {}
    for name in _compared(found, baseline):
        seeds = _common(found, name, baseline)
        own, base = ([Score.of(100 * np.array(runs[seed]["cider_d"])) for seed in seeds]
                     for runs in (found[name], found[baseline]))  # fmt: skip
        differences[name] = paired_difference(own, base)
    p = holm({name: own.p for name, own in differences.items()})
    for name, runs in found.items():
        tested = ["", ""]
        if name in differences:
            low, high = differences[name].interval
            tested = [f"{differences[name].value:+.1f} ({low:+.1f} to {high:+.1f})", f"{p[name]:.3f}"]
        minutes = with_interval([run["minutes"] for run in runs.values()], 0)
        rows.append([name, str(len(runs)), minutes, *_cells(runs, BEAM), *tested])
    rows += [[PEOPLE, "", "", *_cells({0: own}, BEAM), "", ""] for own in _people(found)]
    smallest = sorted(seen(one.interval) for one in differences.values())
    told = [f"A difference of {smallest[len(smallest) // 2]:.1f} would have been seen in four of five studies "
            "(the median method's; before Holm's correction)."] if smallest else []  # fmt: skip
    if differences and all(len(runs) == 1 for runs in found.values()):
        told.append("Of one seed each interval and p are over images: of these runs, not of their methods.")
    return "\n\n".join([markdown(rows), *told])


def table_of_samples(found: Found, baseline: str) -> str:
    """Return a Markdown table of samples at temperature 1, and how far each curve lies above the baseline's.

    How much of that the way makes in which points are joined is told beside it. As in `table_of_beams`, not all need
    be compared.
    """
    others = _compared(found, baseline)
    heights, smooth = (
        {name: heights_of(found[name], found[baseline], join) for name in others} for join in (lines, smoothly)
    )
    tested = [name for name in others if len(heights[name]) > 1]
    p = holm({name: float(ttest_1samp(heights[name], 0).pvalue) for name in tested})
    rows = [["samples", "seeds", *(label for _, label, *_ in SAMPLED),
             f"above the curve of {baseline}: CIDEr-D x 100", "p (Holm)", "joined by cubics"]]  # fmt: skip
    for name, runs in found.items():
        told, again = (
            ("" if own is None else with_interval(own, 1, sign="+") if own else "no common diversity")
            for own in (heights.get(name), smooth.get(name))
        )
        tests = f"{p[name]:.3f}" if name in p else ""
        rows.append([name, str(len(runs)), *_cells(runs, SAMPLED), told, tests, again])
    rows += [[PEOPLE, "", *_cells({0: own}, SAMPLED), "", "", ""] for own in _people(found)]
    halves = sorted(interval(heights[name])[1] for name in tested)
    note = f"\n\nThe median method's half-width of that is {halves[len(halves) // 2]:.1f}." if halves else ""
    return markdown(rows) + note


def table_of_likelihoods(found: Found, baseline: str) -> str:
    """Return a Markdown table of what people's captions cost, less what they cost the baseline, paired by seed.

    Where samples are resampled it is between two bounds, which are told as well. Of one seed there is no test.
    """
    less = {
        name: [_nll(found[name][seed]) - _nll(found[baseline][seed]) for seed in _common(found, name, baseline)]
        for name in _compared(found, baseline)
    }
    p = holm({name: float(ttest_1samp(own, 0).pvalue) for name, own in less.items() if len(own) > 1})
    rows = [["NLL of people's captions", "seeds", "nats a token", "its bounds", f"less that of {baseline}", "p (Holm)"]]
    for name, runs in found.items():
        bounds = [fmean(ends) for ends in zip(*map(_bounds, runs.values()), strict=True)]
        rows.append([
            name, str(len(runs)), with_interval([_nll(run) for run in runs.values()], 4),
            " to ".join(f"{one:.4f}" for one in bounds), with_interval(less[name], 4, sign="+") if name in less else "",
            f"{p[name]:.3f}" if name in p else "",
        ])  # fmt: skip
    return markdown(rows)


def _nll(run: Mapping[str, Any]) -> float:
    return float(run["metrics"]["nll_per_token"])


def _bounds(run: Mapping[str, Any]) -> list[float]:
    ends = (run["metrics"].get(f"limit_nll_per_token_{end}") for end in ("low", "high"))
    return [end for end in ends if end is not None]


def heights_of(
    runs: Mapping[int, Mapping[str, Any]], others: Mapping[int, Mapping[str, Any]], join: Join = lines
) -> list[float]:
    """Return 100 times `height` of each seed that both have, where it has a value."""
    seeds = sorted(runs.keys() & others.keys())
    told = [100 * height(runs[seed]["curve"], others[seed]["curve"], join) for seed in seeds]
    return [one for one in told if not math.isnan(one)]


def table_of_trials(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table of the tuning seed: a row a trial."""
    shown = (SAMPLED[3], BEAM[0], BEAM[1], BEAM[3], SAMPLED[0], SAMPLED[1])
    labels = [f"{label} (beam 5)" if (name, label, *rest) in BEAM else label for name, label, *rest in shown]
    rows = [["tuning seed", "minutes", *labels]]
    rows += [[name, f"{one['minutes']:.0f}", *_cells({0: one}, shown)] for name, one in found.items()]
    return markdown(rows)


def draw(path: Path, found: Found, baseline: str) -> None:
    """Write a PNG: quality against diversity, a line a system, the baseline's thick, the mean over seeds."""
    figure = new_figure(9, 6)
    axes = figure.subplots()
    for place, (name, runs) in enumerate(found.items()):
        curves = np.array(
            [[(p["self_cider"], 100 * p["sample_cider_d"]) for p in run["curve"]] for run in runs.values()]
        )
        x, y = curves.mean(0).T
        axes.plot(
            x, y, marker="o", markersize=3, linestyle="-" if place < 10 else "--", label=name,
            color="black" if name == baseline else f"C{place % 10}", linewidth=2.5 if name == baseline else 1,
        )  # fmt: skip
    axes.set_xlabel("Self-CIDEr of samples")
    axes.set_ylabel("CIDEr-D x 100 of samples")
    axes.legend(fontsize=7)
    write_png(figure, path)


def _compared(found: Found, baseline: str) -> list[str]:
    """Return who is compared with the baseline: all others that have a seed of it."""
    return [name for name in found if name != baseline and _common(found, name, baseline)]


def _common(found: Found, name: str, baseline: str) -> list[int]:
    return sorted(found[name].keys() & found.get(baseline, {}).keys())


def _people(found: Found) -> list[Mapping[str, Any]]:
    """Return what people score, as a run that has them as its metrics, once; they are the same beside every run."""
    several = [run["humans"] for runs in found.values() for run in runs.values() if "humans" in run]
    # Of all five captions: those that come first are longer, and not by chance.
    return [{"metrics": {**told, "length": told["sample_length"]}} for told in several[:1]]


def _cells(runs: Mapping[int, Mapping[str, Any]], shown: Sequence[tuple[str, str, float, int]]) -> list[str]:
    cells = []
    for metric, _, factor, decimals in shown:
        values = [run["metrics"][metric] * factor for run in runs.values() if metric in run["metrics"]]
        cells.append(with_interval(values, decimals) if values else "")
    return cells
