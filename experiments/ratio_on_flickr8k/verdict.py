"""What the measured systems are worth, with intervals over images and seeds.

Shapes: N images, P points of a grid.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median_high

import numpy as np

from experiments.ratio_on_flickr8k.arms import EBM, MORE
from experiments.ratio_on_flickr8k.measure import Found, Place, Point
from experiments.study import seen
from gan_caption.metrics.bootstrap import Difference, mean_interval, paired_difference
from gan_caption.metrics.holm import holm
from gan_caption.metrics.ngrams import Score
from gan_caption.reporting.seeds import with_interval
from gan_caption.reporting.table import markdown

Measured = Mapping[str, Mapping[int, Found]]
"""By system and seed."""


@dataclass(frozen=True)
class System:
    """What a system is worth, a value a seed."""

    runs: Mapping[int, Found]
    """By seed."""

    def on(self, seeds: Collection[int]) -> System:
        """Return what it is worth on those of these seeds that it has."""
        return System({seed: own for seed, own in self.runs.items() if seed in seeds})

    @property
    def points(self) -> list[Point]:
        """Where the judge was asked."""
        return [own.best for own in self.runs.values()]

    @property
    def auc(self) -> list[Score]:
        """What it said."""
        return [Score.of(np.array(point.auc)) for point in self.points]

    @property
    def mean_auc(self) -> float:
        """Over seeds."""
        return float(np.mean([score.corpus for score in self.auc]))

    @property
    def minutes(self) -> float:
        """That a run took, over seeds."""
        return fmean(own.minutes for own in self.runs.values())

    @property
    def cells(self) -> list[str]:
        """Return what a table shows besides differences."""
        runs = self.runs.values()
        places = sorted({point.place for point in self.points})
        models = ([point.corpus[name] for point in self.points] for name in ("lm_nll", "reverse_lm_nll"))
        reached = [point.self_cider for own in runs for point in own.points if point.top_p == 1]
        return [
            ", ".join(map(_shown, places)), _between(self.auc, 3),
            _known([100 * own.cider_d for own in runs], 1),
            _known([own.unsupported for own in runs], 2), _known([own.nll for own in runs], 3),
            *(with_interval(values, 3) for values in models),
            f"{min(reached):.2f} to {max(reached):.2f}",
        ]  # fmt: skip


HEADS = (
    "temperature, top-p", "judge's AUC", "CIDEr-D x 100", "unsupported words a caption",
    "people's NLL, nats a token", "LM, nats", "reverse LM, nats", "Self-CIDEr reached",
)  # fmt: skip


def systems_of(measured: Measured) -> dict[str, System]:
    """Sum up the systems, each of the seeds that it shares with more maximum likelihood where that has run.

    A system that shares none is left out.
    """
    more = measured.get(MORE.name)
    told = {name: System(dict(sorted(runs.items()))) for name, runs in measured.items()}
    shared = {name: one if more is None else one.on(more.keys()) for name, one in told.items()}
    return {name: one for name, one in shared.items() if one.runs}


def differences(systems: Mapping[str, System]) -> dict[str, Difference]:
    """Return each system's AUC less that of more maximum likelihood on its seeds; nothing where that has not run."""
    if MORE.name not in systems:
        return {}
    more = systems[MORE.name]
    return {
        name: paired_difference(system.auc, more.on(system.runs.keys()).auc)
        for name, system in systems.items()
        if name != MORE.name
    }


def table_of_systems(systems: Mapping[str, System], planned: Sequence[str] = ()) -> str:
    """Return a Markdown table: a row a system, at its own best point and at people's diversity and lengths.

    Args:
        systems: by name, at least one.
        planned: all systems of the study; those that have not run count in Holm's correction.
    """
    compared = differences(systems)
    asked = [name for name in planned if name != MORE.name]
    p = holm({name: one.p for name, one in compared.items()}, asked)
    rows = [["", "seeds", "minutes", *HEADS, f"AUC less that of {MORE.name}", "p (Holm)"]]
    for name, system in systems.items():
        told = f"{p[name]:.3f}" if name in compared and len(system.runs) > 1 else ""  # of images alone it says little
        tested = [_difference(compared[name]), told] if name in compared else ["", ""]
        rows.append([name, str(len(system.runs)), f"{system.minutes:.0f}", *system.cells, *tested])
    people = fmean(own.people for system in systems.values() for own in system.runs.values())
    note = f"People's Self-CIDEr, at which CIDEr-D and unsupported words are compared, is {people:.3f}."
    return "\n\n".join([markdown(rows), note, power(list(compared.values()))])


def table_beside(ebm: Mapping[int, Found], beside: Measured) -> str:
    """Return a Markdown table: what differs from the residual EBM in one thing, each on the seeds that both have.

    Args:
        ebm: the residual EBM, by seed.
        beside: the others.
    """
    less = f"less that of {EBM.name}"
    heads = ("judge's AUC", f"AUC {less}", "people's NLL, nats a token", f"NLL {less}")
    rows = [["asked where the residual EBM is best", "seeds", "minutes", *heads]]
    for name, runs in beside.items():
        seeds = sorted(runs.keys() & ebm.keys())
        if not seeds:
            continue
        own, other = (System({seed: one[seed] for seed in seeds}) for one in (runs, ebm))
        nll = [runs[seed].nll for seed in seeds]
        paired = [runs[seed].nll - ebm[seed].nll for seed in seeds]
        told = [_between(own.auc, 3), _difference(paired_difference(own.auc, other.auc)), _known(nll, 3)]
        rows.append([name, str(len(seeds)), f"{own.minutes:.0f}", *told, _known(paired, 3, sign="+")])
    return markdown(rows) if len(rows) > 1 else ""


def table_of_likelihoods(measured: Measured, to: Sequence[str]) -> str:
    """Return a Markdown table: what people's captions cost a token, seed by seed, and less that of others, paired.

    Beside it stands what the discriminator knows that resamples: its AUC.

    Args:
        measured: systems, by seed; those whose NLL is not known are left out.
        to: the names of those that all are compared with.
    """
    nll = {
        name: {seed: run.nll for seed, run in sorted(runs.items()) if not math.isnan(run.nll)}
        for name, runs in measured.items()
    }
    nll = {name: own for name, own in nll.items() if own}
    seeds = sorted({seed for own in nll.values() for seed in own})
    others = [name for name in to if name in nll]
    rows = [["people's NLL, nats a token", *(f"seed {seed}" for seed in seeds), *(f"less {name}" for name in others),
             "its D's AUC"]]  # fmt: skip
    for name, own in nll.items():
        less = [_paired(own, nll[other]) if other != name else "" for other in others]
        knows = [run.known for run in measured[name].values() if not math.isnan(run.known)]
        cells = [f"{own[seed]:.3f}" if seed in own else "" for seed in seeds]
        rows.append([name, *cells, *less, with_interval(knows, 3) if knows else ""])
    return markdown(rows) if seeds else ""


def _paired(own: Mapping[int, float], other: Mapping[int, float]) -> str:
    """Return the mean difference over the seeds that both have, and how many these are."""
    both = own.keys() & other.keys()
    return f"{with_interval([own[seed] - other[seed] for seed in both], 3, sign='+')} ({len(both)})" if both else ""


def power(compared: Sequence[Difference]) -> str:
    """Say how large a difference would have been seen in four of five studies, by the intervals found."""
    if not compared:
        return ""
    median = median_high(seen(one.interval) for one in compared)
    return (
        f"A difference of {median:.3f} in AUC would have been seen in four of five studies (before Holm's correction)."
    )


def table_of_places(found: Mapping[str, Found]) -> str:
    """Return a Markdown table: what the judge says of systems at each temperature and top-p, on the tuning seed."""
    places = sorted({place for own in found.values() for place in own.aucs}, key=lambda place: (-place[1], place[0]))
    rows = [["temperature, top-p", *map(_shown, places), "chosen"]]
    for name, own in found.items():
        cells = (f"{own.aucs[place]:.3f}" if place in own.aucs else "" for place in places)
        rows.append([name, *cells, _shown(own.best.place)])
    return markdown(rows)


def table_of_planted(planted: Mapping[int, Mapping[str, float]]) -> str:
    """Return a Markdown table: what the judge says of systems whose order is known, over seeds."""
    names = list(next(iter(planted.values()), {}))
    rows = [["planted", "judge's AUC"]]
    rows += [[name, with_interval([own[name] for own in planted.values()], 3)] for name in names]
    return markdown(rows)


def _shown(place: Place) -> str:
    return "/".join(f"{value:g}" for value in place)


def _known(values: Sequence[float], decimals: int, *, sign: str = "") -> str:
    """Return a cell of the seeds that have a value, and how many these are where not all do."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    of = "" if len(known) == len(values) else f" ({len(known)} of {len(values)} seeds)"
    return with_interval(known, decimals, sign=sign) + of


def _between(scores: Sequence[Score], decimals: int) -> str:
    low, high = mean_interval(scores)
    value = fmean(score.corpus for score in scores)
    return f"{value:.{decimals}f} ({low:.{decimals}f} to {high:.{decimals}f})"


def _difference(one: Difference) -> str:
    return f"{one.value:+.3f} ({one.interval[0]:+.3f} to {one.interval[1]:+.3f})"
