"""Tables of the systems and of the trials, with paired tests over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median_high, stdev

from scipy.stats import t, ttest_1samp
from statsmodels.stats.multitest import multipletests

from experiments.ratio_on_scenes.arms import MORE
from gan_caption.reporting.seeds import interval, with_interval
from gan_caption.reporting.table import markdown

MARGIN = 0.01
"""Nats: two systems that differ by less are equivalent."""
SHOWN = (
    ("jsd", "JSD", 3, 1), ("plain_jsd", "JSD at temperature 1", 3, 1), ("nll_per_token", "NLL a token", 3, 1),
    ("sample_oracle_true", "true, %", 1, 100), ("true_at_lengths", "true at people's lengths, %", 1, 100),
    ("sample_oracle_outside", "outside, %", 1, 100), ("sample_length", "words", 2, 1), ("div_2", "Div-2", 3, 1),
    ("best_auc", "best D's AUC", 3, 1),
)  # fmt: skip

Found = Mapping[str, Mapping[int, Mapping[str, float]]]


def table_of_systems(found: Found) -> str:
    """Return a Markdown table: a row a system, with its difference to more maximum likelihood of the same seeds."""
    differences = compared(found)
    tested = {name: own for name, own in differences.items() if len(own) > 1}
    p = dict(zip(tested, _holm(list(tested.values())), strict=True))
    heads = ["", "seeds", "temperature, top-p", *(label for _, label, _, _ in SHOWN), f"JSD less that of {MORE.name}",
             "p (Holm)", f"within {MARGIN} nats"]  # fmt: skip
    rows = [heads]
    for name, runs in found.items():
        points = sorted({(run["temperature"], run["top_p"]) for run in runs.values()})
        values = {metric: [run[metric] for run in runs.values() if metric in run] for metric, *_ in SHOWN}
        cells = [
            with_interval([factor * one for one in values[metric]], decimals) if values[metric] else ""
            for metric, _, decimals, factor in SHOWN
        ]
        own = differences.get(name, [])
        difference = with_interval(own, 4, sign="+") if own else ""
        tests = [f"{p[name]:.3f}", "yes" if equivalent(own) else "no"] if name in p else ["", ""]
        told = ", ".join(f"{temperature:g}/{top_p:g}" for temperature, top_p in points)
        rows.append([name, str(len(runs)), told, *cells, difference, *tests])
    return "\n\n".join([markdown(rows), power(list(tested.values()))])


def compared(found: Found) -> dict[str, list[float]]:
    """Return each system's divergence less that of more maximum likelihood, seed by seed, where both are known."""
    more = found.get(MORE.name, {})
    told = {
        name: [runs[seed]["jsd"] - more[seed]["jsd"] for seed in sorted(runs.keys() & more.keys())]
        for name, runs in found.items()
        if name != MORE.name
    }
    return {name: own for name, own in told.items() if own}


def equivalent(own: Sequence[float]) -> bool:
    """Tell whether the 90% interval of the mean difference lies within the margin: two one-sided tests at 5%."""
    mean, half = interval(own, level=0.9)
    return abs(mean) + half < MARGIN


def power(tested: Sequence[Sequence[float]]) -> str:
    """Say how large a difference the study would have seen in four of five cases, by its own spread."""
    if not tested:
        return ""
    seeds = sorted({len(own) for own in tested})
    return (
        f"With {' or '.join(map(str, seeds))} seeds, a difference of {median_high(map(seen, tested)):.4f} nats would "
        f"have been seen in four of five studies (the median method's spread; before Holm's correction)."
    )


def seen(own: Sequence[float]) -> float:
    """Return the mean difference that a two-sided t-test at 5% sees with 80%, by the spread of these differences."""
    seeds = len(own)
    # (t quantiles of the test and of the power) / sqrt(n): the usual approximation of the noncentral t.
    return float(t.ppf(0.975, seeds - 1) + t.ppf(0.8, seeds - 1)) * stdev(own) / math.sqrt(seeds)


def table_of_trials(trials: Mapping[str, Mapping[str, float]], rates: Sequence[str]) -> str:
    """Return a Markdown table: the divergence on validation scenes by method and learning rate, one seed."""
    rows = [["", *rates]]
    rows += [[name, *(f"{own[rate]:.4f}" if rate in own else "" for rate in rates)] for name, own in trials.items()]
    return markdown(rows)


def _holm(tested: Sequence[Sequence[float]]) -> list[float]:
    if not tested:
        return []
    alone = [float(ttest_1samp(own, 0).pvalue) if any(own) else 1.0 for own in tested]  # of all zeros it has no t
    return list(map(float, multipletests(alone, method="holm")[1]))
