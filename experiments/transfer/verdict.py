"""What systems lose away from home, beside what maximum likelihood loses, with intervals over seeds and images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.study import seen
from experiments.transfer.measure import PLACES
from gan_caption.metrics.bootstrap import Difference, paired_difference
from gan_caption.metrics.holm import holm
from gan_caption.metrics.ngrams import Score
from gan_caption.metrics.transfer import DRAWS, Moved, difference_in_proportion, difference_of_losses, loss, p_of_both
from gan_caption.reporting.table import markdown

MLE, MORE = "maximum likelihood", "control_more_mle"
METHODS = ("nsc", "chen", "seqgan", "gold", "ddo", "kl_ratio")
CONTROLS = (MORE, "control_blind", "control_constant")
PLANNED = 5
"""Seeds."""
BESIDE = (
    ("length", "words", 1, 2), ("unique", "unique captions, %", 100, 1), ("div_2", "Div-2 of samples", 1, 3),
    ("oracle_true", "true, %", 100, 1),
    ("sample_oracle_true", "samples true, %", 100, 1), ("sample_cider_d", "CIDEr-D of samples x 100", 100, 1),
    ("chair_references_i", "objects no reference has, %", 100, 1),
)  # fmt: skip

Found = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""By system and seed, see `measure.found`."""


@dataclass(frozen=True)
class Endpoint:
    """A metric of which more is better, and whose corpus value is the mean over images."""

    name: str
    label: str
    factor: float = 100
    """What values are multiplied by where they are shown."""
    decimals: int = 1

    def shown(self, value: float, sign: str = "") -> str:
        """Return it as tables have it."""
        return "-" if math.isnan(value) else f"{self.factor * value:{sign}.{self.decimals}f}"

    def with_interval(self, difference: Difference) -> str:
        """Return a difference with its 95% interval."""
        low, high = difference.interval
        return f"{self.shown(difference.value, '+')} ({self.shown(low, '+')} to {self.shown(high, '+')})"


@dataclass(frozen=True)
class Compared:
    """A system beside maximum likelihood, on the seeds that both have."""

    beyond: Difference
    """How much more it loses than maximum likelihood."""
    in_proportion: Difference
    """How much more of what it has at home, in logarithms."""
    away: Difference
    """How much better it is away."""
    controls: Mapping[str, tuple[Difference, Difference]]
    """`beyond` and `in_proportion` to each of the controls, where seeds have both."""

    def loses_less(self) -> float:
        """Return the p of its losing less than maximum likelihood, or more, by both accounts."""
        return p_of_both(self.beyond, self.in_proportion)

    def transfers_better(self) -> float:
        """Return the p of the whole claim; see `verdict`. Each part of it must hold: the largest p is that of all.

        NaN where a control is missing, and 1 where a part has the other sign.
        """
        if any(one not in self.controls for one in CONTROLS):
            return math.nan
        others = ((self.beyond, self.in_proportion), *self.controls.values())
        parts = [(p_of_both(*one), one[0].value < 0) for one in others]
        parts.append((self.away.p, self.away.value > 0))
        return float(np.max([p if as_claimed or math.isnan(p) else 1.0 for p, as_claimed in parts]))


def table_of_losses(found: Found, endpoint: Endpoint) -> str:
    """Return a Markdown table, a row a system, with the verdict on each method below it."""
    compared = {name: one for name in found if name != MLE and (one := _compared(name, found, endpoint))}
    both = found.get(MLE, {}).keys()
    several = {name for name, runs in found.items() if len(runs.keys() & both) > 1}  # one seed tells nothing of others
    methods = [name for name in METHODS if name in compared and name in several]
    p = holm({name: compared[name].loses_less() for name in methods}, asked=METHODS)
    whole = holm({name: compared[name].transfers_better() for name in methods}, asked=METHODS)
    rows = [["", "seeds", "home", "away", f"away, above {MLE}", "loss", f"more than {MLE}'s", "in proportion",
             f"more than {MORE}'s", "p (Holm)", "seen with 80%, before Holm"]]  # fmt: skip
    for name, runs in found.items():
        own = _moved(runs, sorted(runs))
        above, beyond = "", ["", "", "", "", ""]
        if name in compared:
            one = compared[name]
            above = endpoint.with_interval(one.away)
            more = endpoint.with_interval(one.controls[MORE][0]) if MORE in one.controls else ""
            least = endpoint.shown(seen(one.beyond.interval))
            beyond = [endpoint.with_interval(one.beyond), _shares(one.in_proportion), more,
                      "" if math.isnan(p.get(name, math.nan)) else f"{p[name]:.3f}", least]  # fmt: skip
        rows.append([name, str(len(runs)), endpoint.shown(own.at_home()), endpoint.shown(own.when_away()), above,
                     endpoint.with_interval(loss(own, better="higher")), *beyond])  # fmt: skip
    people = next(iter(next(iter(found.values())).values()))
    here, there = (people[place]["humans"].get(endpoint.name, math.nan) for place in PLACES)
    rows.append(
        ["people", "", endpoint.shown(here), endpoint.shown(there), "", endpoint.shown(here - there, "+"), *[""] * 5]
    )
    told = [verdict(name, compared[name], p[name], whole[name]) for name in methods]
    return "\n\n".join([f"{endpoint.label}:", markdown(rows), *_limits(found), *(["\n".join(told)] if told else [])])


def _shares(difference: Difference) -> str:
    low, high = difference.interval
    return "-" if math.isnan(difference.value) else f"{difference.value:+.3f} ({low:+.3f} to {high:+.3f})"


def _limits(found: Found) -> list[str]:
    """Say what the seeds that there are do not allow."""
    fewest = min(map(len, found.values()))
    if fewest >= PLANNED:
        return []
    alone = "; intervals of one seed are over images, of that run alone, and no verdict rests on them"
    return [f"Of {PLANNED} seeds that were planned some rows have {fewest}: provisional{alone if fewest == 1 else ''}."]


def verdict(name: str, compared: Compared, p: float, whole: float) -> str:
    """Say whether a method transfers better than maximum likelihood, loses less, or more, or that it is unknown.

    Args:
        name: of the method.
        compared: with maximum likelihood, and with the controls.
        p: of its losing less or more than maximum likelihood, corrected for how many methods are asked.
        whole: of its being better away, and losing less than maximum likelihood and each control, corrected likewise.
    """
    if whole < 0.05:
        return (
            f"- {name} transfers better: away it is better than {MLE}, and it loses less than that and than "
            f"{', '.join(CONTROLS)} (p {whole:.3f})."
        )
    if not p < 0.05:
        return f"- Whether {name} loses less than {MLE} cannot be told."
    if compared.beyond.value > 0:
        return f"- {name} loses more than {MLE}."
    unseen = [f"that it loses less than {', '.join(those)}"] if (those := _not_beaten(compared)) else []
    if not compared.away.interval[0] > 0:
        unseen.append("that it is better away")
    return f"- {name} loses less than {MLE}; {' and '.join(unseen) or 'all of it together'} is not seen."


def _not_beaten(compared: Compared) -> list[str]:
    """Return the controls of which it is not seen, one by one, that they lose more by both accounts."""
    return [
        one for one in CONTROLS
        if one not in compared.controls or not all(told.interval[1] < 0 for told in compared.controls[one])
    ]  # fmt: skip


def table_beside(found: Found) -> str:
    """Return a Markdown table of what else is known in both places, and of minutes, means over seeds."""
    first = next(iter(next(iter(found.values())).values()))
    known = [one for one in BESIDE if all(one[0] in first[place]["values"] for place in PLACES)]
    rows = [["", *(f"{label}, {place}" for _, label, *_ in known for place in PLACES), "minutes of one core"]]
    for name, runs in found.items():
        cells = [
            f"{factor * np.mean([run[place]['values'].get(metric, math.nan) for run in runs.values()]):.{decimals}f}"
            for metric, _, factor, decimals in known
            for place in PLACES
        ]
        rows.append([name, *cells, f"{np.mean([run['minutes'] for run in runs.values()]):.0f}"])
    return markdown(rows)


def words_unknown(found: Found) -> str:
    """Say which share of people's words the baseline's runs cannot say, in both places."""
    runs = list(found.get(MLE, next(iter(found.values()))).values())
    shares = [100 * float(np.mean([run[place]["unsayable"]["share"] for run in runs])) for place in PLACES]
    frequent = " ".join(runs[0]["away"]["unsayable"]["frequent"])
    told = f"Of people's words the runs cannot say {shares[0]:.1f}% at home and {shares[1]:.1f}% away"
    return f"{told}{f' ({frequent} ...)' if frequent else ''}."


def _moved(runs: Mapping[int, Mapping[str, Any]], seeds: Sequence[int]) -> Moved:
    home, away = ([Score.of(np.array(runs[seed][place]["scores"])) for seed in seeds] for place in PLACES)
    return Moved(home, away)


def _compared(name: str, found: Found, endpoint: Endpoint) -> Compared | None:
    """Return a system beside maximum likelihood; None where no seed has both."""
    seeds = sorted(found[name].keys() & found.get(MLE, {}).keys())
    if not seeds:
        return None
    own = _moved(found[name], seeds)
    base = _moved(found[MLE], seeds)
    controls = {}
    for control in CONTROLS:
        both = sorted(set(seeds) & found.get(control, {}).keys())
        if name != control and len(both) >= min(len(seeds), 2):  # one seed tells nothing of others
            controls[control] = _differences(_moved(found[name], both), _moved(found[control], both))
    return Compared(*_differences(own, base), paired_difference(own.away, base.away, draws=DRAWS), controls)


def _differences(own: Moved, other: Moved) -> tuple[Difference, Difference]:
    """Return how much more one loses than the other, as it is and in proportion."""
    return (
        difference_of_losses(own, other, better="higher"), difference_in_proportion(own, other, better="higher"),
    )  # fmt: skip
