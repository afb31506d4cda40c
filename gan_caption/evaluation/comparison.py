"""Which runs are one system, and which systems can be compared."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from gan_caption.configuration.building import TARGET, Part
from gan_caption.configuration.overrides import typed
from gan_caption.configuration.settings import SHARED, WITHOUT_EFFECT, Settings
from gan_caption.configuration.wording import listed
from gan_caption.discriminators.base import Discriminator
from gan_caption.distributed.world import say
from gan_caption.encoders.base import Encoder
from gan_caption.errors import UserError
from gan_caption.evaluation.settings import SeveralSettings
from gan_caption.evaluation.trained import last_of_the_policy, left_weights
from gan_caption.generators.base import Generator
from gan_caption.metrics.metric import Metrics
from gan_caption.metrics.standard import LIKELIHOOD, LIMIT
from gan_caption.text.base import Tokenizer
from gan_caption.training.folders import BASELINE, has_finished, left_digest, read_settings
from gan_caption.training.identity import KnownData, flattened, read_data, settings_of
from gan_caption.training.setup import check_parts, own_decoding
from gan_caption.training.tokenizers import load_tokenizer
from gan_caption.untrusted.parsing import some

NOT_OF_THE_METHOD = (*WITHOUT_EFFECT, *SHARED, "seed", "pretrained", "pretrained_discriminator", "begin_from", "name",
                     "allow", "skip_unreadable", "skip_missing", "metrics")  # fmt: skip
"""Settings in which runs of one system may differ; who reads shared ones has what it read among its own."""
_JUDGES_TEXT = "gan_caption.rewards.language_model.LanguageModelReward"
"""What asks the language model."""


@dataclass(frozen=True)
class Chosen:
    """Weights that take part."""

    folder: Path
    settings: Settings
    phase: str
    """The phase that left the weights."""
    known: KnownData | None
    """What the data are; None where the configuration says all."""
    borrowed: bool = False
    """Whether they are the maximum likelihood that a run of another system began with: the run's D is not theirs."""
    lost: str | None = None
    """The run's last phase of the policy, where that left no healthy weights, and those of an earlier one take part."""

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.settings.seed


def choose_systems(
    folders: str | Path | Sequence[str | Path],
    *,
    baseline: str,
    temperature: float | None = None,
    allow: str | Sequence[str] = (),
    fewest: int = 2,
) -> dict[str, list[Chosen]]:
    """Return the weights of each system, the baseline first, by seed; the seeds are those that all systems have.

    Runs with the same name that differ in more than their seed are systems of their own, named by what differs.

    Args:
        folders: run folders.
        baseline: the system that comes first. Where no run has this name, it is made of the weights that the runs'
            maximum-likelihood phase left, which are the same for the runs of a seed.
        temperature: of samples; None: each run's own.
        allow: packages of your own whose classes the runs may name.
        fewest: systems that are needed.

    Raises:
        UserError: a folder holds no finished run, runs were trained on different data, two of a system have one seed,
            there is nothing to compare, the baseline is unknown or not that of all runs, also by the temperature of its
            samples, or no seed is common to all.
    """
    if not folders:
        raise UserError("runs=[]: no runs are given; runs=[outputs/a,outputs/b]")
    runs = [_finished(Path(folder), allow) for folder in listed(folders)]
    for one, other in combinations(runs, 2):
        _check_same_data(one, other)
    locations = [key for run in runs if run.known for key in run.known.locations]
    methods = [_method(run, locations) for run in runs]
    groups: dict[str, list[int]] = defaultdict(list)
    for index, method in enumerate(methods):
        groups[json.dumps([runs[index].settings.title, _in_one_form(method)], sort_keys=True)].append(index)
    names = _names([(runs[own[0]].settings.title, methods[own[0]]) for own in groups.values()])
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"runs: {some(twice)}: several systems would have this name, whose settings read alike (a text for a "
            "number?): give the runs of one"
        )
    systems = {name: _once([runs[index] for index in own]) for name, own in zip(names, groups.values(), strict=True)}
    if baseline not in systems:
        if baseline != BASELINE:
            raise UserError(f"against={baseline}: the runs are of {', '.join(systems)}")
        systems = {BASELINE: _beginnings(runs, list(systems), temperature), **systems}
    systems = {baseline: systems[baseline], **systems}
    for name, own in systems.items():
        seeds = [run.seed for run in own]
        if len(set(seeds)) < len(seeds):
            raise UserError(f"runs: two runs of {name} have the same seed ({sorted(seeds)}): give one of them")
    common = set.intersection(*({run.seed for run in own} for own in systems.values()))
    if not common:
        told = "; ".join(f"{name}: {sorted(run.seed for run in own)}" for name, own in systems.items())
        raise UserError(f"runs: systems are compared seed by seed, and no seed is common to all ({told})")
    if len(systems) < fewest:
        raise UserError(f"runs: all of them are {baseline}; give runs of another method as well")
    for name, own in systems.items():
        if left := sorted({run.seed for run in own} - common):
            say(f"{name}: seeds {left} are left out, the other systems do not have them")
    return {
        name: sorted((run for run in own if run.seed in common), key=lambda run: run.seed)
        for name, own in systems.items()
    }


def _once(runs: Sequence[Chosen]) -> list[Chosen]:
    """Leave out what repeats another run of a system, as where a sweep varies what this method does not read."""
    kept: list[Chosen] = []
    for run in runs:
        twin = next((one for one in kept if one.seed == run.seed and _same_weights(one, run)), None)
        if twin is None:
            kept.append(run)
        else:
            say(f"{run.folder} has the weights of {twin.folder}, and is left out")
    return kept


def _same_weights(one: Chosen, other: Chosen) -> bool:
    """Tell whether two runs wrote alike; one that reweighs its captions has its baseline's weights, and a D besides."""
    reweighed = any(run.phase in own_decoding(run.settings) for run in (one, other))
    return not reweighed and left_digest(one.folder, one.phase) == left_digest(other.folder, other.phase)


def _beginnings(runs: Sequence[Chosen], names: Sequence[str], temperature: float | None) -> list[Chosen]:
    """Return the maximum likelihood that the runs of each seed began with.

    Raises:
        UserError: a run has none, or two runs of a seed have not begun with the same weights, so that none is what both
            differ from, or would have it sampled at different temperatures.
    """
    began: dict[int, tuple[Chosen, str]] = {}
    for run in runs:
        weights = left_digest(run.folder, BASELINE)
        if weights is None:
            raise UserError(
                f"runs={run.folder} did not begin with maximum likelihood, which others are compared with: give a run "
                f"of +experiment=mle as well, or against= one of {', '.join(names)}"
            )
        first, others = began.setdefault(run.seed, (_borrowed(run), weights))
        if others != weights:
            raise UserError(
                f"runs={first.folder} and {run.folder} did not begin with the same maximum likelihood, and the one of "
                f"either is no baseline of the other: give a run of +experiment=mle as well, or against= one of "
                f"{', '.join(names)}"
            )
        both = [one.settings.validation.temperature for one in (first, run)]
        if temperature is None and both[0] != both[1]:
            raise UserError(
                f"runs={first.folder} and {run.folder} sample at temperatures of their own ({both[0]:g}, {both[1]:g}), "
                "and the maximum likelihood that both began with would be sampled at either: give "
                "validation.temperature=1 for all, or a run of +experiment=mle as well"
            )
    return [first for first, _ in began.values()]


def _borrowed(run: Chosen) -> Chosen:
    """Return the maximum likelihood that a run began with."""
    return Chosen(run.folder, run.settings, BASELINE, run.known, borrowed=True)


def _finished(folder: Path, allow: str | Sequence[str]) -> Chosen:
    settings = read_settings(folder, allow=allow)
    left = list(left_weights(folder, settings))
    if not left or not has_finished(folder):
        raise UserError(
            f"runs={folder}: that run has not finished; `{typed('resume', folder)}` with its command takes it up"
        )
    lost = last_of_the_policy(settings, after=left[-1])
    if lost:
        say(f"{folder}: its phase {lost} left no healthy weights, so that those of {left[-1]} take part")
    return Chosen(folder, settings, left[-1], read_data(folder), lost=lost)


def _check_same_data(one: Chosen, other: Chosen) -> None:
    """Refuse runs of different data: told by what the data are where both runs know it, else by their settings."""
    if one.known and other.known:
        splits = one.known.others(other.known)
        same, why = not splits, f" (the images or captions of {', '.join(splits)} are others)"
    else:
        same, why = settings_of(one.settings.given)["data"] == settings_of(other.settings.given)["data"], ""
    if not same:
        raise UserError(
            f"runs={one.folder} and {other.folder} were trained on different data{why}: compare runs of one data set"
        )


def _method(run: Chosen, locations: Sequence[str], *, but_for: Sequence[str] = NOT_OF_THE_METHOD) -> dict[str, Any]:
    """Return the settings, by dotted keys, in which runs of one system are alike."""
    settings = settings_of(run.settings.given, locations)
    kept = flattened({key: value for key, value in settings.items() if key not in but_for})
    own = {key: value for key, value in kept.items() if value is not None}  # as where there was no such setting yet
    if not any(key.endswith(f".{TARGET}") and value == _JUDGES_TEXT for key, value in own.items()):
        own.pop("language_model", None)  # which measures, and nothing was learned from it
    return own


def _in_one_form(value: Any) -> Any:
    """Return settings with 1.0 in the form of 1, which equal each other."""
    if isinstance(value, Mapping):
        return {key: _in_one_form(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_in_one_form(own) for own in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def name_runs(runs: Sequence[Chosen]) -> list[str]:
    """Name runs as systems are named, each by itself: where a name is that of several, their seeds tell them apart too.

    Raises:
        UserError: two runs are the same.
    """
    but_for = [key for key in NOT_OF_THE_METHOD if key not in SHARED]  # copies, of which only these tell, are shown too
    methods = [{**_method(run, (), but_for=but_for), "seed": run.seed} for run in runs]
    names = _names([(run.settings.title, own) for run, own in zip(runs, methods, strict=True)])
    for name, run in zip(names, runs, strict=True):
        if names.count(name) > 1:
            raise UserError(f"run: two runs of {name} have the same seed ({run.seed}): give one of them")
    return names


def _names(methods: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Name methods, and where a name is that of several, say in which settings they differ as well.

    Parts of different classes are told apart by these, not by the settings inside them.
    """
    names = []
    for name, own in methods:
        alike = [other for other_name, other in methods if other_name == name]
        differing = [
            _in_words(key, value, alike)
            for key, value in own.items()
            if any(other.get(key) != value and _of_like_parts(key, own, other) for other in alike)
        ]
        names.append(" ".join([name, *differing]))
    return names


def _of_like_parts(key: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether the parts that a setting lies in are of the same classes in two methods."""
    *outer, _ = key.removesuffix(f".{TARGET}").split(".")
    parts = [".".join([*outer[:depth], TARGET]) for depth in range(1, len(outer) + 1)]
    return all(one.get(part) == other.get(part) for part in parts)


def _in_words(key: str, value: Any, alike: Sequence[Mapping[str, Any]]) -> str:
    """Write a setting; a part by its class, without the module where the class's name is enough."""
    part, _, last = key.rpartition(".")
    if last != TARGET:
        return f"{key}={value}"
    classes = {str(other[key]) for other in alike if key in other}
    short = {one.rpartition(".")[2] for one in classes}
    return f"{part}={str(value).rpartition('.')[2] if len(short) == len(classes) else value}"


def metrics_asked(chosen: Mapping[str, Sequence[Chosen]], settings: SeveralSettings) -> list[Part]:
    """Return the user's own metrics: those of the settings, or without any those of all runs, each once."""
    if settings.metrics is not None:
        return settings.metrics
    parts = [part for runs in chosen.values() for run in runs for part in run.settings.metrics]
    return list({json.dumps(part.node, sort_keys=True): part for part in parts}.values())


def language_model_asked(chosen: Mapping[str, Sequence[Chosen]], settings: SeveralSettings) -> str | None:
    """Return the language model that judges captions: that of the settings, or without any that of the runs.

    Raises:
        UserError: the runs name several.
    """
    if settings.language_model is not None:
        return settings.language_model
    named = {run.settings.language_model for runs in chosen.values() for run in runs} - {None}
    if len(named) > 1:
        told = " and ".join(sorted(map(str, named)))
        raise UserError(f"runs: their captions were judged by {told}: give language_model=... for one of them")
    return next(iter(named), None)


def comparable(metrics: Metrics, tokenizers: Iterable[Tokenizer]) -> Metrics:
    """Return the metrics that runs with these tokenizers have in common: who can say fewer words is asked fewer."""
    if len({tokenizer.fingerprint for tokenizer in tokenizers}) < 2:
        return metrics
    left = {metric.name for metric in (*LIKELIHOOD, *LIMIT)}
    say("the runs have several vocabularies: the likelihood of references, of other words with each, is left out")
    return {name: metric for name, metric in metrics.items() if name not in left}


def check_networks(systems: Mapping[str, Sequence[Chosen]]) -> None:
    """Look whether the networks of all runs may be built here, before the first one's are evaluated.

    Raises:
        UserError: a class is not allowed, is not there, or asks for something else now.
    """
    for run in (run for own in systems.values() for run in own):
        own = run.settings
        try:
            check_parts((own.encoder, Encoder), (own.generator, Generator), (own.discriminator, Discriminator))
        except UserError as error:
            raise UserError(f"runs={run.folder}: {error}") from error


def run_tokenizers(systems: Mapping[str, Sequence[Chosen]]) -> dict[Path, Tokenizer]:
    """Return the tokenizer of each run, by its folder, those of the first system first.

    Args:
        systems: those that are compared.

    Raises:
        UserError: the metrics count some runs' captions by word, and others' by character.
    """
    runs = [run for own in systems.values() for run in own]
    tokenizers = {run.folder: load_tokenizer(run.settings, run.folder) for run in runs}
    counted = {tokenizer.counted_by: folder for folder, tokenizer in tokenizers.items()}
    if len(counted) > 1:
        told = " and ".join(f"{folder} by {unit}" for unit, folder in counted.items())
        raise UserError(f"runs: the metrics count {told}, which cannot be compared: give runs that are counted alike")
    return tokenizers
