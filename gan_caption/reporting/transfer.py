"""What runs lose away from home: a table, the verdict, and a file for programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from gan_caption.configuration.building import plain
from gan_caption.errors import UserError
from gan_caption.evaluation.comparison import (
    check_networks,
    choose_systems,
    language_model_asked,
    metrics_asked,
    run_tokenizers,
)
from gan_caption.evaluation.java import java_metrics
from gan_caption.evaluation.settings import SplitName, TransferSettings
from gan_caption.evaluation.text_metrics import language_model_metrics
from gan_caption.evaluation.transfer import Measured, Place, can_lose, measure_in, moved, open_places
from gan_caption.extras import require
from gan_caption.files import check_folder
from gan_caption.metrics.bootstrap import FEW, OF_FEW, Difference
from gan_caption.metrics.holm import holm
from gan_caption.metrics.metric import Metric
from gan_caption.metrics.transfer import (
    Moved,
    difference_in_proportion,
    difference_of_losses,
    loss,
    p_of_both,
    worse_by,
)
from gan_caption.reporting.comparison_tables import SURE
from gan_caption.reporting.results import evaluated
from gan_caption.reporting.sweep import folders_of
from gan_caption.reporting.table import markdown
from gan_caption.training.folders import write_text, write_values
from gan_caption.training.setup import choose_device, open_language_model, own_metrics

RESULTS, TABLE = "transfer.json", "table.md"
SHOWN = (
    "cider_d", "bleu_4", "chair_references_i", "chair_references_s", "oracle_true",
    "oracle_hallucinations", "sample_cider_d", "sample_oracle_true", "self_cider", "div_2", "distinct_samples",
)  # fmt: skip
"""What the table has, where it is known in both places, beside the endpoint and the user's own; the file has all."""


@dataclass(frozen=True)
class Loss:
    """What one system loses of one metric."""

    metric: Metric
    system: str
    moved: Moved
    own: Difference
    """How much worse it is away."""
    beyond: Difference | None
    """How much more it loses than the baseline; None of the baseline."""
    in_proportion: Difference | None
    """How much more of what it has at home; see `difference_in_proportion`."""


def measure_transfer(settings: TransferSettings) -> list[Loss]:
    """Evaluate runs in both places where that was not done before, write what each loses, and print it.

    Raises:
        UserError: the runs cannot be compared, data or a metric are missing, or `out` is a folder of something else.
    """
    target = settings.out
    if target.exists() and not (target / RESULTS).exists():
        raise UserError(f"out={target} exists and holds no {RESULTS}: choose another folder")
    check_folder(target, f"out={target}")
    at_home, abroad = in_both_places(settings)
    found = losses(at_home, abroad, settings.against)
    shown = [settings.endpoint, *SHOWN, *at_home.place.own]
    text = told(at_home, abroad, found, settings, shown=shown)
    target.mkdir(parents=True, exist_ok=True)
    write_values(target / RESULTS, as_json(at_home, abroad, found, settings))  # by which the folder is known again
    write_text(target / TABLE, f"{text}\n")
    print(f"\n{text}\n\nEverything is in {target}", flush=True)
    return found


def in_both_places(settings: TransferSettings) -> tuple[Measured, Measured]:
    """Evaluate runs at home and away where that was not done before, and return what was measured, home first.

    Raises:
        UserError: the runs cannot be compared, or data or a metric are missing.
    """
    chosen = choose_systems(
        folders_of(settings.runs), baseline=settings.against, temperature=settings.validation.temperature,
        allow=settings.allow, fewest=1,
    )  # fmt: skip
    if len(next(iter(chosen.values()))) > 1:
        require("scipy", extra="report", what="differences over seeds")  # missed now, not after hours
    check_networks(chosen)
    tokenizers = run_tokenizers(chosen)
    tokenizer = next(iter(tokenizers.values()))
    asked, named = metrics_asked(chosen, settings), language_model_asked(chosen, settings)
    judge = open_language_model(named, tokenizer, device=choose_device(settings.device))
    own = [*own_metrics(asked), *language_model_metrics(judge)]
    home, away = open_places(
        next(iter(chosen.values()))[0], settings.data, settings.split, own=own, skip_missing=settings.skip_missing,
        skip_unreadable=settings.skip_unreadable, cache=settings.cache,
        java=java_metrics(settings.java_metrics, counted_by=tokenizer.counted_by),
    )  # fmt: skip
    known = [one.name for one in home.metrics.values() if can_lose(one) and one.name in away.metrics]
    if settings.endpoint not in known:
        raise UserError(f"endpoint={settings.endpoint}: what both places have is {', '.join(known)}")
    samples = settings.validation.samples_per_image

    def evaluate(place: Place) -> Callable[..., Path]:
        split = cast(SplitName, place.split.name)  # of the corpus, which was asked for one of these
        there = replace(settings, metrics=asked, language_model=named, split=split)
        return partial(evaluated, asked=there, images=place.split.fingerprint)

    # Away first: its photographs may be missing or damaged, and those at home were read before.
    abroad = measure_in(away, chosen, partial(evaluate(away), data=settings.data), tokenizers, samples=samples)
    return measure_in(home, chosen, evaluate(home), tokenizers, samples=samples), abroad


def losses(home: Measured, away: Measured, baseline: str) -> list[Loss]:
    """Return what every system loses, metric by metric."""
    found = []
    for metric, systems in moved(home, away):
        for name, one in systems.items():
            beyond = in_proportion = None
            if name != baseline:
                beyond = difference_of_losses(one, systems[baseline], better=metric.better)
                in_proportion = difference_in_proportion(one, systems[baseline], better=metric.better)
            found.append(Loss(metric, name, one, loss(one, better=metric.better), beyond, in_proportion))
    return found


def told(
    home: Measured, away: Measured, found: Sequence[Loss], settings: TransferSettings, *, shown: Sequence[str]
) -> str:
    """Return the whole account as Markdown.

    Args:
        home: what was measured at home.
        away: what was measured away.
        found: every loss.
        settings: what was asked.
        shown: the metrics of the table.
    """
    seeds = [run.seed for run in home.systems[0].runs]
    few = min(len(one.place.split) for one in (home, away)) < FEW
    parts = [
        f"Home: {_where(home)}. Away: {_where(away)}. Training seeds {', '.join(map(str, seeds))}.",
        loss_table(home, away, [one for one in found if one.metric.name in shown]),
        f"A loss is how much worse away is than home; 95% by the paired bootstrap over images of each place"
        f"{' and seeds, widened to t over seeds' if len(seeds) > 1 else ''}.\n"
        f"The last column says how much more than {settings.against} a system loses: below 0 it loses less. The "
        "verdict asks that, and the same in proportion to what each has at home (in logarithms), for another place may "
        "have another scale: p is the larger of both, corrected for how many systems are asked (Holm)."
        f"{f' {OF_FEW}' if few else ''}",
        "\n".join(verdicts([one for one in found if _is_asked(one, settings)], settings.against))
        or _no_verdict(found, settings),
        diversity_table(home, away),
        unsayable_table(home, away),
    ]
    return "\n\n".join(part for part in parts if part)


def _no_verdict(found: Sequence[Loss], settings: TransferSettings) -> str:
    if any(one.metric.name == settings.endpoint for one in found):
        return f"No verdict: there is no other system than {settings.against}."
    return f"No verdict: some system has no value of {settings.endpoint}, here or there."


def _where(there: Measured) -> str:
    part = there.place.data
    differing = {key: part.node[key] for key in ("root", "test_shows") if part.node.get(key) is not None}
    settings = "".join(f", {key}={value}" for key, value in differing.items())
    return f"{len(there.place.split)} {there.place.split.name} images of {part.name.lower()}{settings}"


def _is_asked(one: Loss, settings: TransferSettings) -> bool:
    return one.metric.name == settings.endpoint and one.system != settings.against


def loss_table(home: Measured, away: Measured, found: Sequence[Loss]) -> str:
    """Return a row a metric and system, and one of humans where they are scored."""
    rows = [["", "", "home", "away", "loss", "95%", "more than the baseline's", "95%"]]
    for name in dict.fromkeys(one.metric.name for one in found):
        own = [one for one in found if one.metric.name == name]
        metric = own[0].metric
        rows += [[metric.label if row == 0 else "", *_loss_row(one)] for row, one in enumerate(own)]
        if name in home.humans and name in away.humans:
            here, there = home.humans[name], away.humans[name]
            worse = metric.shown(worse_by(here, there, metric.better), sign="+")
            rows.append(["", "humans", metric.shown(here), metric.shown(there), worse, "-", "-", "-"])
    return markdown(rows)


def _loss_row(one: Loss) -> list[str]:
    metric = one.metric
    beyond = ["-", "-"] if one.beyond is None else _with_interval(metric, one.beyond)
    values = (metric.shown(one.moved.at_home()), metric.shown(one.moved.when_away()))
    return [one.system, *values, *_with_interval(metric, one.own), *beyond]


def _with_interval(metric: Metric, difference: Difference) -> list[str]:
    return [metric.shown(difference.value, sign="+"), metric.between(difference.interval, sign="+")]


def verdicts(asked: Sequence[Loss], baseline: str) -> list[str]:
    """Say of each system whether it loses less than the baseline, more, or whether that cannot be told.

    At 5%, by p values that are corrected for how many systems are asked (Holm), and of what it loses as it is and in
    proportion to what it has at home: were one enough, whoever is worse in both places could be said to lose less.
    """
    told = [(one, one.beyond, one.in_proportion) for one in asked if one.beyond and one.in_proportion]
    p = holm({one.system: p_of_both(beyond, share) for one, beyond, share in told})
    return [_verdict(one, beyond, share, baseline, p[one.system]) for one, beyond, share in told]


def _verdict(one: Loss, beyond: Difference, share: Difference, baseline: str, p: float) -> str:
    low, high = share.interval
    shares = "not known" if math.isnan(share.value) else f"{low:+.3f} to {high:+.3f}"
    interval = f"{one.metric.between(beyond.interval, sign='+')}; in proportion {shares}; p {p:.3f}"
    if not p < SURE:
        return f"{one.metric.label}: whether {one.system} loses less than {baseline} cannot be told ({interval})."
    how = "less" if beyond.value < 0 else "more"
    return f"{one.metric.label}: {one.system} loses {how} than {baseline} ({interval})."


def diversity_table(home: Measured, away: Measured) -> str:
    """Return how many words each system uses in both places; no loss is told, for it depends on how many images are."""
    rows = [["", *(f"{label}, {place}" for label in ("words used", "words used in samples", "unique captions, %")
                   for place in ("home", "away"))]]  # fmt: skip
    metrics = home.place.metrics
    for here, there in zip(home.systems, away.systems, strict=True):
        cells = [
            metrics[name].shown(float(np.mean([run.values[name] for run in own.runs])))
            for name in ("vocabulary", "sample_vocabulary", "unique")
            for own in (here, there)
        ]
        rows.append([here.name, *cells])
    return markdown(rows)


def unsayable_table(home: Measured, away: Measured) -> str:
    """Return which words of people's captions each system has no token for, of its first seed."""
    rows = [["words that a run cannot say", "home: different", "of all words, %", "away: different", "of all words, %",
             "the most frequent away"]]  # fmt: skip
    for name, own in home.unsayable.items():
        cells = []
        for one in (own[0], away.unsayable[name][0]):
            cells += [f"{one.types} of {one.of_types}", f"{100 * one.share:.1f}"]
        rows.append([name, *cells, " ".join(away.unsayable[name][0].frequent)])
    return markdown(rows)


def as_json(home: Measured, away: Measured, found: Sequence[Loss], settings: TransferSettings) -> dict[str, Any]:
    """Return everything for programs; values on the metrics' own scale, one a seed."""
    return {
        "settings": plain(settings),
        "home": _place_as_json(home),
        "away": _place_as_json(away),
        "losses": [
            {
                "metric": one.metric.name, "system": one.system, "home": one.moved.at_home(),
                "away": one.moved.when_away(), "loss": asdict(one.own),
                "more_than_baseline": None if one.beyond is None else asdict(one.beyond),
                "more_in_proportion": None if one.in_proportion is None else asdict(one.in_proportion),
            }
            for one in found
        ],
    }  # fmt: skip


def _place_as_json(there: Measured) -> Mapping[str, Any]:
    return {
        "data": dict(there.place.data.node),
        "split": there.place.split.name,
        "images": len(there.place.split),
        "humans": dict(there.humans),
        "systems": {
            system.name: [
                {
                    "seed": run.seed, "folder": run.folder, "unsayable": asdict(lacking),
                    "values": {name: score.corpus for name, score in run.scores.items()} | dict(run.values),
                }
                for run, lacking in zip(system.runs, there.unsayable[system.name], strict=True)
            ]
            for system in there.systems
        },
    }  # fmt: skip
