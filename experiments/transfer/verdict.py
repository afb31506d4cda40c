"""What systems lose away from home, beside what maximum likelihood loses, with intervals over seeds and images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.study import seen
from experiments.transfer.measure import PLACES
from gan_caption.metrics.bootstrap import Difference
from gan_caption.metrics.holm import holm
from gan_caption.metrics.ngrams import Score
from gan_caption.metrics.transfer import Moved, difference_of_losses, loss
from gan_caption.reporting.table import markdown

MLE, MORE = "maximum likelihood", "control_more_mle"
METHODS = ("nsc", "chen", "seqgan", "gold", "ddo", "kl_ratio")
CONTROLS = (MORE, "control_blind", "control_constant")
BESIDE = (
    ("length", "words", 1, 2), ("unique", "unique captions, %", 100, 1), ("div_2", "Div-2 of samples", 1, 3),
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

    def shown(self, value: float, sign: str = "") -> str:
        """Return it times 100, as tables have it."""
        return "-" if math.isnan(value) else f"{100 * value:{sign}.1f}"

    def with_interval(self, difference: Difference) -> str:
        """Return a difference with its 95% interval."""
        low, high = difference.interval
        return f"{self.shown(difference.value, '+')} ({self.shown(low, '+')} to {self.shown(high, '+')})"


@dataclass(frozen=True)
class Compared:
    """A system beside maximum likelihood, on the seeds that both have."""

    beyond: Difference
    """How much more it loses than maximum likelihood."""
    controls: Mapping[str, Difference]
    """And than each of the controls, where seeds have both."""


def table_of_losses(found: Found, endpoint: Endpoint) -> str:
    """Return a Markdown table, a row a system, with the verdict on each method below it."""
    compared = {name: one for name in found if name != MLE and (one := _compared(name, found, endpoint))}
    both = found.get(MLE, {}).keys()
    several = {name for name, runs in found.items() if len(runs.keys() & both) > 1}  # one seed tells nothing of others
    methods = [name for name in METHODS if name in compared and name in several]
    p = holm({name: compared[name].beyond.p for name in methods}, asked=METHODS)
    rows = [["", "seeds", "home", "away", "loss", f"more than {MLE}'s", f"more than {MORE}'s", "p (Holm)",
             "seen with 80%"]]  # fmt: skip
    for name, runs in found.items():
        own = _moved(runs, sorted(runs))
        cells = [str(len(runs)), endpoint.shown(own.at_home()), endpoint.shown(own.when_away()),
                 endpoint.with_interval(loss(own, better="higher"))]  # fmt: skip
        beyond = ["", "", "", ""]
        if name in compared:
            one = compared[name]
            more = endpoint.with_interval(one.controls[MORE]) if MORE in one.controls else ""
            least = endpoint.shown(seen(one.beyond.interval))
            beyond = [endpoint.with_interval(one.beyond), more, f"{p[name]:.3f}" if name in p else "", least]
        rows.append([name, *cells, *beyond])
    people = next(iter(next(iter(found.values())).values()))
    here, there = (people[place]["humans"].get(endpoint.name, math.nan) for place in PLACES)
    rows.append(
        ["people", "", endpoint.shown(here), endpoint.shown(there), endpoint.shown(here - there, "+"), *[""] * 4]
    )
    told = [verdict(name, compared[name], p[name]) for name in methods]
    return "\n\n".join([f"{endpoint.label}:", markdown(rows), *(["\n".join(told)] if told else [])])


def verdict(name: str, compared: Compared, p: float) -> str:
    """Say whether a method loses less than maximum likelihood and all controls, or more, or that it is unknown."""
    low, high = compared.beyond.interval
    if high < 0 and p < 0.05:
        unseen = [one for one in CONTROLS if one not in compared.controls or compared.controls[one].interval[1] >= 0]
        if unseen:
            return f"- {name} loses less than {MLE}; that it loses less than {', '.join(unseen)} is not seen."
        return f"- {name} transfers better: it loses less than {MLE}, and than {', '.join(CONTROLS)}."
    if low > 0 and p < 0.05:
        return f"- {name} loses more than {MLE}."
    return f"- Whether {name} loses less than {MLE} cannot be told."


def table_beside(found: Found) -> str:
    """Return a Markdown table of what else is known in both places, means over seeds."""
    first = next(iter(next(iter(found.values())).values()))
    known = [one for one in BESIDE if all(one[0] in first[place]["values"] for place in PLACES)]
    rows = [["", *(f"{label}, {place}" for _, label, *_ in known for place in PLACES)]]
    for name, runs in found.items():
        cells = [
            f"{factor * np.mean([run[place]['values'].get(metric, math.nan) for run in runs.values()]):.{decimals}f}"
            for metric, _, factor, decimals in known
            for place in PLACES
        ]
        rows.append([name, *cells])
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
    beyond = difference_of_losses(own, _moved(found[MLE], seeds), better="higher")
    controls = {}
    for control in CONTROLS:
        both = sorted(set(seeds) & found.get(control, {}).keys())
        if name != control and len(both) >= min(len(seeds), 2):  # one seed tells nothing of others
            other = _moved(found[control], both)
            controls[control] = difference_of_losses(_moved(found[name], both), other, better="higher")
    return Compared(beyond, controls)
