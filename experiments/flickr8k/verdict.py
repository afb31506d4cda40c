"""Tables and a figure of the methods, with intervals over seeds and images. N images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
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

Found = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""By system and seed, see `measure.found`; the first system is the baseline."""


def height(curve: Sequence[Mapping[str, float]], baseline: Sequence[Mapping[str, float]]) -> float:
    """Return how much more quality a curve has than another, the mean over the diversity that both reach; else NaN.

    Args:
        curve: CIDEr-D of samples by Self-CIDEr, joined by straight lines.
        baseline: the other.
    """
    own, other = (sorted((point["self_cider"], point["sample_cider_d"]) for point in one) for one in (curve, baseline))
    low, high = max(own[0][0], other[0][0]), min(own[-1][0], other[-1][0])
    if low >= high:
        return math.nan
    levels = np.linspace(low, high, LEVELS)
    return float(np.mean(np.interp(levels, *np.transpose(own)) - np.interp(levels, *np.transpose(other))))


def table_of_beams(found: Found) -> str:
    """Return a Markdown table of captions by beam 5, with CIDEr-D less the baseline's, over seeds and images."""
    first = next(iter(found))
    labels = [label for _, label, *_ in BEAM]
    rows = [["beam 5", "seeds", "minutes", *labels, f"CIDEr-D less that of {first}", "p (Holm)"]]
    others = [name for name in found if name != first]
    differences = {}
    for name in others:
        seeds = sorted(found[name].keys() & found[first].keys())
        own, base = ([Score.of(100 * np.array(runs[seed]["cider_d"])) for seed in seeds]
                     for runs in (found[name], found[first]))  # fmt: skip
        differences[name] = paired_difference(own, base)
    p = holm({name: differences[name].p for name in others})
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
    return "\n\n".join([markdown(rows), *told])


def table_of_samples(found: Found) -> str:
    """Return a Markdown table of samples at temperature 1, and how far each curve lies above the baseline's."""
    first = next(iter(found))
    others = [name for name in found if name != first]
    heights = {name: heights_of(found[name], found[first]) for name in others}
    tested = [name for name in others if len(heights[name]) > 1]
    p = holm({name: float(ttest_1samp(heights[name], 0).pvalue) for name in tested})
    rows = [["samples", "seeds", *(label for _, label, *_ in SAMPLED), "above the curve: CIDEr-D x 100", "p (Holm)"]]
    for name, runs in found.items():
        own = heights.get(name, [])
        told = with_interval(own, 1, sign="+") if own else "" if name == first else "no common diversity"
        rows.append([name, str(len(runs)), *_cells(runs, SAMPLED), told, f"{p[name]:.3f}" if name in p else ""])
    rows += [[PEOPLE, "", *_cells({0: own}, SAMPLED), "", ""] for own in _people(found)]
    halves = sorted(interval(heights[name])[1] for name in tested)
    note = f"\n\nThe median method's half-width of that is {halves[len(halves) // 2]:.1f}." if halves else ""
    return markdown(rows) + note


def heights_of(runs: Mapping[int, Mapping[str, Any]], others: Mapping[int, Mapping[str, Any]]) -> list[float]:
    """Return 100 times `height` of each seed that both have, where it has a value."""
    seeds = sorted(runs.keys() & others.keys())
    told = [100 * height(runs[seed]["curve"], others[seed]["curve"]) for seed in seeds]
    return [one for one in told if not math.isnan(one)]


def table_of_trials(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table of the tuning seed: a row a trial."""
    shown = (SAMPLED[3], BEAM[0], BEAM[1], BEAM[3], SAMPLED[0], SAMPLED[1])
    labels = [f"{label} (beam 5)" if (name, label, *rest) in BEAM else label for name, label, *rest in shown]
    rows = [["tuning seed", "minutes", *labels]]
    rows += [[name, f"{one['minutes']:.0f}", *_cells({0: one}, shown)] for name, one in found.items()]
    return markdown(rows)


def draw(path: Path, found: Found) -> None:
    """Write a PNG: quality against diversity, a line a system, the mean over seeds."""
    figure = new_figure(9, 6)
    axes = figure.subplots()
    for place, (name, runs) in enumerate(found.items()):
        curves = np.array(
            [[(p["self_cider"], 100 * p["sample_cider_d"]) for p in run["curve"]] for run in runs.values()]
        )
        x, y = curves.mean(0).T
        axes.plot(
            x, y, marker="o", markersize=3, linestyle="-" if place < 10 else "--", label=name,
            color=f"C{place % 10}" if place else "black", linewidth=1 if place else 2.5,
        )  # fmt: skip
    axes.set_xlabel("Self-CIDEr of samples")
    axes.set_ylabel("CIDEr-D x 100 of samples")
    axes.legend(fontsize=7)
    write_png(figure, path)


def _people(found: Found) -> list[Mapping[str, Any]]:
    """Return what people score, as a run that has them as its metrics, once; they are the same beside every run."""
    told = [{"metrics": run["humans"]} for runs in found.values() for run in runs.values() if "humans" in run]
    return told[:1]


def _cells(runs: Mapping[int, Mapping[str, Any]], shown: Sequence[tuple[str, str, float, int]]) -> list[str]:
    cells = []
    for metric, _, factor, decimals in shown:
        values = [run["metrics"][metric] * factor for run in runs.values() if metric in run["metrics"]]
        cells.append(with_interval(values, decimals) if values else "")
    return cells
