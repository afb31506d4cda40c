"""From run folders to what a report shows: which runs are one system, evaluated alike, measured together."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_caption.data.corpus import Split
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.evaluation.adversarial import Judgement
from gan_caption.evaluation.curve_files import read_curve
from gan_caption.evaluation.evaluator import batches_of, true_shares
from gan_caption.evaluation.java import java_metrics
from gan_caption.evaluation.systems import EvaluatedRun, System
from gan_caption.evaluation.trained import open_run
from gan_caption.metrics import DocumentFrequencies, ptb_tokenize
from gan_caption.metrics.language_model import NgramModel
from gan_caption.metrics.ngrams import Score
from gan_caption.metrics.scoring import image_by_image
from gan_caption.reporting.results import evaluate_run, evaluation_folder, left_weights
from gan_caption.training.folders import BASELINE, COMMAND, read_config
from gan_caption.training.identity import WITHOUT_EFFECT, KnownData, flattened, read_data, settings_of
from gan_caption.training.setup import open_features

NOT_OF_THE_METHOD = (*WITHOUT_EFFECT, "seed", "pretrained", "name", "allow", "skip_unreadable")
"""Settings in which runs of one system may differ."""


@dataclass(frozen=True)
class Chosen:
    """Weights that take part."""

    folder: Path
    config: Mapping[str, Any]
    phase: str
    """The phase that left the weights."""
    known: KnownData | None
    """What the data are; None where the configuration says all."""

    @property
    def seed(self) -> int:
        """Of the training."""
        return int(self.config["seed"])


def choose_systems(folders: Sequence[str], *, baseline: str) -> dict[str, list[Chosen]]:
    """Return the weights of each system, the baseline first, by seed; the seeds are those that all systems have.

    Runs with the same name that differ in more than their seed are systems of their own, named by what differs.

    Args:
        folders: run folders.
        baseline: the system that comes first. Where no run has this name, it is made of the weights that the runs'
            maximum-likelihood phase left.

    Raises:
        UserError: a folder holds no finished run, runs were trained on different data, a run is given twice, there is
            nothing to compare, the baseline is unknown, or no seed is common to all.
    """
    if not folders:
        raise UserError("runs=[]: no runs are given; runs=[outputs/a,outputs/b]")
    runs = [_finished(Path(folder)) for folder in folders]
    for one, other in combinations(runs, 2):
        _check_same_data(one, other)
    locations = [key for run in runs if run.known for key in run.known.locations]
    methods = [_method(run, locations) for run in runs]
    groups: dict[str, list[int]] = defaultdict(list)
    for index, method in enumerate(methods):
        groups[json.dumps([runs[index].config["name"], method], sort_keys=True)].append(index)
    names = _names([(str(runs[own[0]].config["name"]), methods[own[0]]) for own in groups.values()])
    systems = {name: [runs[index] for index in own] for name, own in zip(names, groups.values(), strict=True)}
    if baseline not in systems:
        if baseline != BASELINE:
            raise UserError(f"baseline={baseline}: the runs are of {', '.join(systems)}")
        began = {run.seed: Chosen(run.folder, run.config, BASELINE, run.known) for run in runs}
        systems = {BASELINE: list(began.values()), **systems}
    systems = {baseline: systems[baseline], **systems}
    for name, own in systems.items():
        seeds = [run.seed for run in own]
        if len(set(seeds)) < len(seeds):
            raise UserError(f"runs: two runs of {name} have the same seed ({sorted(seeds)}): give one of them")
    common = set.intersection(*({run.seed for run in own} for own in systems.values()))
    if not common:
        told = "; ".join(f"{name}: {sorted(run.seed for run in own)}" for name, own in systems.items())
        raise UserError(f"runs: systems are compared seed by seed, and no seed is common to all ({told})")
    if len(systems) < 2:
        raise UserError(f"runs: all of them are {baseline}; give runs of another method as well")
    for name, own in systems.items():
        if left := sorted({run.seed for run in own} - common):
            say(f"{name}: seeds {left} are left out, the other systems do not have them")
    return {
        name: sorted((run for run in own if run.seed in common), key=lambda run: run.seed)
        for name, own in systems.items()
    }


def _finished(folder: Path) -> Chosen:
    config = read_config(folder)
    left = list(left_weights(folder, config))
    if not left or not (folder / "results.json").exists():
        raise UserError(f"runs={folder}: that run has not finished; `resume={folder}` with its command takes it up")
    return Chosen(folder, config, left[-1], read_data(folder))


def _check_same_data(one: Chosen, other: Chosen) -> None:
    """Refuse runs of different data: told by what the data are where both runs know it, else by their settings."""
    if one.known and other.known:
        splits = one.known.others(other.known)
        same, why = not splits, f" (the images or captions of {', '.join(splits)} are others)"
    else:
        same, why = settings_of(one.config)["data"] == settings_of(other.config)["data"], ""
    if not same:
        raise UserError(
            f"runs={one.folder} and {other.folder} were trained on different data{why}: compare runs of one data set"
        )


def _method(run: Chosen, locations: Sequence[str]) -> dict[str, Any]:
    """Return the settings, by dotted keys, in which runs of one system are alike."""
    settings = settings_of(run.config, locations)
    return flattened({key: value for key, value in settings.items() if key not in NOT_OF_THE_METHOD})


def _names(methods: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Name methods, and where a name is that of several, say in which settings they differ as well."""
    names = []
    for name, own in methods:
        alike = [other for other_name, other in methods if other_name == name]
        differing = [f"{key}={value}" for key, value in own.items() if any(other.get(key) != value for other in alike)]
        names.append(" ".join([name, *differing]))
    return names


def evaluated(chosen: Chosen, settings: Mapping[str, Any]) -> Path:
    """Return the folder of a run's evaluation, made where it was not made before with the same settings."""
    temperature = settings["validation"]["temperature"] or chosen.config["validation"]["temperature"]
    keys = ("split", "device", "allow", "cache", "skip_unreadable", "decoding", "curve")
    own = {
        "run": str(chosen.folder), "weights": chosen.phase, "data": None,
        **{key: settings[key] for key in keys},
        "validation": {**settings["validation"], "temperature": temperature}, "java_metrics": [],
    }  # fmt: skip
    folder = evaluation_folder(own)
    if not (folder / "results.json").exists():
        say(f"evaluating {chosen.folder} ({chosen.phase})")
        evaluate_run(own)
    return folder


def pooled_features(chosen: Chosen, split: Split, settings: Mapping[str, Any]) -> Tensor:
    """Return the pooled features of a split, (N, D), by a run's encoder as its training left it."""
    run = open_run(chosen.folder, {key: settings[key] for key in ("device", "allow", "cache", "skip_unreadable")})
    run.load(chosen.phase)
    run.captioner.eval()
    source = open_features(run.config, run.encoder, split, device=run.device)
    with torch.no_grad():
        rows = batches_of(len(split), settings["validation"]["batch_images"])
        return torch.cat([source.features(own, grid=False, device=run.device).pooled for own in rows])


def with_judgement(systems: Sequence[System], judgement: Judgement) -> tuple[list[System], dict[str, float]]:
    """Return the systems with what the adversarial evaluation says of them, and the same of humans."""
    told = []
    for system in systems:
        judged = judgement.systems[system.name]
        runs = []
        for index, run in enumerate(system.runs):
            logits, ranks = judged.logits[:, index], judged.ranks[:, index]
            scores = {**run.scores, **_judged(logits[:, None], ranks[:, None])}
            values = {**run.values, "median_rank": float(np.median(ranks))}
            runs.append(replace(run, scores=scores, values=values, judged=logits))
        told.append(replace(system, runs=runs))
    humans = judgement.humans
    scale = {name: score.corpus for name, score in _judged(humans.logits, humans.ranks).items()}
    return told, {**scale, "median_rank": float(np.median(humans.ranks))}


def _judged(logits: np.ndarray, ranks: np.ndarray) -> dict[str, Score]:
    shares = {"taken_for_human": logits > 0, **{f"recall_{at}": ranks <= at for at in (1, 5, 10)}}
    return {name: Score(float(hits.mean()), hits.mean(1)) for name, hits in shares.items()}


def measure(
    chosen: Chosen, folder: Path, split: Split, references: Sequence[Sequence[str]], java: Sequence[str] = ()
) -> EvaluatedRun:
    """Read what an evaluation left, and measure it image by image.

    Args:
        chosen: the run.
        folder: of its evaluation.
        split: the images.
        references: of each its tokenized captions.
        java: names of metrics that Java programs compute.

    Raises:
        UserError: the evaluation is of other images.
    """
    rows = json.loads((folder / f"captions_{chosen.phase}.json").read_text(encoding="utf-8"))
    if [row["image_id"] for row in rows] != [item.image_id for item in split.items]:
        raise UserError(f"{folder} is an evaluation of other images than {split.name} has now: delete it")
    captions, samples = [row["caption"] for row in rows], [row["samples"] for row in rows]
    frequencies = DocumentFrequencies.of(references)
    scores = {
        **image_by_image(captions, samples, references, frequencies),
        **java_metrics(java, captions, references),
        **true_shares(split, captions, samples),
    }
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    values = {name: value for name, value in results["systems"][chosen.phase].items() if name not in scores}
    curve = folder / f"curve_{chosen.phase}.json"
    command = chosen.folder / COMMAND
    opinions = [row["discriminator"] for row in rows] if all("discriminator" in row for row in rows) else None
    return EvaluatedRun(
        seed=chosen.seed,
        folder=str(chosen.folder),
        command=command.read_text(encoding="utf-8").strip() if command.exists() else "",
        config=chosen.config,
        captions=captions,
        samples=samples,
        opinions=opinions,
        scores=scores,
        values=values,
        judged=None,
        curve=read_curve(curve) if curve.exists() else [],
        records=_records(chosen),
    )


def _records(chosen: Chosen) -> list[dict[str, Any]]:
    """Return what the run logged up to the phase that left the weights."""
    lines = (chosen.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    phases = list(chosen.config["phases"])
    kept = set(phases[: phases.index(chosen.phase) + 1])
    return [record for record in records if record.get("phase") in kept]


def with_language_models(
    systems: Sequence[System], references: Sequence[Sequence[str]], training: Sequence[str]
) -> tuple[list[System], dict[str, float]]:
    """Return the systems with the LM and reverse-LM scores of their samples, and those of humans (Caccia et al. 2020).

    The human scale of the reverse score is a model of as many training captions as a system has samples.

    Args:
        systems: whose samples are scored.
        references: tokenized, of the evaluated images.
        training: tokenized human captions of other images.
    """
    words = {word for caption in training for word in caption.split()}
    human = NgramModel(training, words=words)
    unseen = [text for own in references for text in own]

    def scored(run: EvaluatedRun) -> EvaluatedRun:
        drawn = [text for own in run.samples for text in own]
        reverse = NgramModel(drawn, words=words).nll_per_token(unseen)
        told = {"lm_nll": human.nll_per_token(drawn), "reverse_lm_nll": reverse}
        return replace(run, values={**run.values, **told})

    count = sum(map(len, systems[0].runs[0].samples))
    order = np.random.default_rng(0).permutation(len(training))[:count]
    some = NgramModel([training[row] for row in order], words=words)
    humans = {"lm_nll": human.nll_per_token(unseen), "reverse_lm_nll": some.nll_per_token(unseen)}
    return [replace(system, runs=[scored(run) for run in system.runs]) for system in systems], humans


def tokenized(split: Split) -> list[list[str]]:
    """Return the references of each image of a split."""
    return [ptb_tokenize(list(item.captions)) for item in split.items]
