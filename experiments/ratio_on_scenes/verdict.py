"""Tables of the systems and of the trials, with paired tests over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median_high, stdev

from scipy.stats import t, ttest_1samp

from experiments.ratio_on_scenes.arms import LONG, MLE
from experiments.ratio_on_scenes.measure import TEMPERATURES
from gan_caption.metrics.holm import holm
from gan_caption.reporting.seeds import interval, with_interval
from gan_caption.reporting.table import markdown

MARGIN = 0.01
"""Nats: two systems that differ by less are equivalent."""
SHOWN = (
    ("jsd", "JSD", 3, 1), ("plain_jsd", "JSD at temperature 1", 3, 1), ("nll_per_token", "NLL a token", 3, 1),
    ("sample_oracle_true", "true, %", 1, 100), ("true_at_lengths", "true at people's lengths, %", 1, 100),
    ("sample_oracle_outside", "outside, %", 1, 100), ("sample_length", "words", 2, 1), ("div_2", "Div-2", 3, 1),
    ("best_auc", "best D's AUC", 3, 1), ("judge_auc", "its own D's, held out", 3, 1),
    ("judge_log_loss", "its log-loss there", 4, 1),
)  # fmt: skip

RIVALS = (MLE, LONG)
"""What the others are compared with: their own baseline, and maximum likelihood at equal compute."""

Found = Mapping[str, Mapping[int, Mapping[str, float]]]


def table_of_systems(found: Found, planned: Sequence[str] = ()) -> str:
    """Return a Markdown table: a row a system, with its differences to the rivals of the same seeds.

    Args:
        found: by system and seed.
        planned: all systems of the study. Those that have not run count in Holm's correction: what is found first is
            not corrected for less.
    """
    waiting = [name for name in planned if name not in found and name != MLE]
    tests = {
        rival: _Tests(
            compared(found, rival),
            compared(found, rival, "plain_jsd"),
            [name for name in (*found, *waiting) if name not in (MLE, rival)],
        )
        for rival in RIVALS
        if rival in found
    }
    columns = [
        f"{what}{rival}"
        for rival in tests
        for what in ("JSD less that of ", "p (Holm), ", f"within {MARGIN} of ", "at temperature 1, less that of ")
    ]
    rows = [["", "seeds", "temperature, top-p", *(label for _, label, _, _ in SHOWN), *columns]]
    for name, runs in found.items():
        points = sorted({(run["temperature"], run["top_p"]) for run in runs.values()})
        values = {
            metric: [run[metric] for run in runs.values() if math.isfinite(run.get(metric, math.nan))]
            for metric, *_ in SHOWN
        }
        cells = [
            _cell([factor * one for one in values[metric]], decimals, of=len(runs))
            for metric, _, decimals, factor in SHOWN
        ]
        told = ", ".join(f"{temperature:g}/{top_p:g}" for temperature, top_p in points)
        tested = [cell for one in tests.values() for cell in one.cells(name)]
        rows.append([name, str(len(runs)), told, *cells, *tested])
    powers = [power(rival, list(one.tested.values())) for rival, one in tests.items()]
    counted = f"Not run yet, and counted by Holm's correction: {'; '.join(waiting)}." if waiting else ""
    return "\n\n".join([markdown(rows), *filter(None, (*powers, counted, tried(found)))])


def tried(found: Found) -> str:
    """Say of which runs fewer temperatures were tried than are now; "" where there are none.

    Args:
        found: by system and seed; runs from before it was kept had none above 1.
    """
    most = max(TEMPERATURES)
    seeds: dict[float, dict[str, list[int]]] = {}
    for name, runs in found.items():
        for seed, run in runs.items():
            seeds.setdefault(run.get("hottest", 1.0), {}).setdefault(name, []).append(seed)
    if len(seeds) == 1 and most not in seeds:
        (one,) = seeds
        return f"Temperatures were tried up to {one:g}; the plan has them up to {most:g} now."
    told = "; ".join(
        f"{name} (seed {', '.join(map(str, runs))}) up to {one:g}"
        for one, own in sorted(seeds.items())
        if one < most
        for name, runs in own.items()
    )
    return f"Temperatures were tried up to {most:g}, but of {told}." if told else ""


def _cell(values: Sequence[float], decimals: int, *, of: int) -> str:
    """Return the mean over the seeds that have a value, and how many these are where not all of them have one."""
    if not values:
        return ""
    return with_interval(values, decimals) + (f" ({len(values)} of {of})" if len(values) < of else "")


class _Tests:
    """Paired tests of all systems against one rival, with Holm's correction over systems.

    Those that wait count, and those whose divergence could not be estimated: they are asked about as well.
    """

    def __init__(
        self, differences: Mapping[str, Sequence[float]], plain: Mapping[str, Sequence[float]], asked: Sequence[str]
    ) -> None:
        self.differences, self.plain = differences, plain
        self.tested = {name: own for name, own in differences.items() if len(own) > 1}
        self.p = holm({name: _p(own) for name, own in self.tested.items()}, asked)

    def cells(self, name: str) -> list[str]:
        """Return the difference, p, whether the system is equivalent, and the difference where nothing is chosen."""
        own, plain = (
            with_interval(one[name], 4, sign="+") if name in one else "" for one in (self.differences, self.plain)
        )
        if name not in self.tested:
            return [own, "", "", plain]
        told = self.tested[name]
        return [own, f"{self.p[name]:.3f}", "yes" if equivalent(told) else "no", plain]


def compared(found: Found, rival: str, metric: str = "jsd") -> dict[str, list[float]]:
    """Return each system's divergence less that of a rival, seed by seed, where both are known; of no rival itself.

    A system whose density could not be estimated on some seed has none.

    Args:
        found: by system and seed.
        rival: whose is taken off.
        metric: "jsd", each at its own best point, or "plain_jsd", both at temperature 1.
    """
    other = found.get(rival, {})
    told = {
        name: [runs[seed][metric] - other[seed][metric] for seed in sorted(runs.keys() & other.keys())]
        for name, runs in found.items()
        if name != rival and name != MLE
    }
    return {name: own for name, own in told.items() if own and all(map(math.isfinite, own))}


def equivalent(own: Sequence[float]) -> bool:
    """Tell whether the 90% interval of the mean difference lies within the margin: two one-sided tests at 5%."""
    mean, half = interval(own, level=0.9)
    return abs(mean) + half < MARGIN


def power(rival: str, tested: Sequence[Sequence[float]]) -> str:
    """Say how large a difference the study would have seen in four of five cases, by its own spread."""
    if not tested:
        return ""
    seeds = sorted({len(own) for own in tested})
    return (
        f"With {' or '.join(map(str, seeds))} seeds, a difference of {median_high(map(smallest, tested)):.4f} nats to "
        f"{rival} would have been seen in four of five studies (the median method's spread; before Holm's correction)."
    )


def smallest(own: Sequence[float]) -> float:
    """Return the mean difference that a two-sided t-test at 5% sees with 80%, by the spread of these differences."""
    seeds = len(own)
    # (t quantiles of the test and of the power) / sqrt(n): the usual approximation of the noncentral t.
    return float(t.ppf(0.975, seeds - 1) + t.ppf(0.8, seeds - 1)) * stdev(own) / math.sqrt(seeds)


def _p(own: Sequence[float]) -> float:
    return float(ttest_1samp(own, 0).pvalue) if any(own) else 1.0  # of all zeros it has no t
