"""The endpoint: the exact divergence of a system, at the temperature and nucleus that validation chooses for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from experiments.ratio import evaluator_of
from experiments.ratio_on_scenes.ladder import looks
from experiments.study import systems
from gan_caption.decoding.decoders import Sampler
from gan_caption.evaluation.evaluator import Evaluator
from gan_caption.evaluation.trained import Trained, open_run
from gan_caption.metrics.metric import corpus_value, measure
from gan_caption.metrics.ngrams import Score
from gan_caption.training.folders import read_settings
from gan_caption.training.records import METRICS, read_records
from gan_caption.training.setup import own_decoding

TEMPERATURES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75)
"""Above 1 as well: what sharpens a policy is undone by them, and is not compared for being sharp."""
NUCLEI = (0.9, 0.95, 1.0)
SAMPLES = 5
"""Of each validation image, at every point of the grid."""
FINALISTS = 3
"""The best points by these, among which more samples decide."""
TEST_SAMPLES = 20
"""Of each test image, and of a validation image at these points: by 5, two draws of one system differ by .006 nats (a
standard deviation)."""

Of = TypeVar("Of")
Point = tuple[float, float]
"""A temperature and a nucleus."""


def divergence(run: Path, phase: str, *, temperatures: Sequence[float] = TEMPERATURES,
               nuclei: Sequence[float] = NUCLEI) -> dict[str, float]:  # fmt: skip
    """Measure what a phase of a run left, on test, at its own best point of the grid on validation images.

    Args:
        run: its folder.
        phase: whose weights, with its own decoder where it has one.
        temperatures: of the samples; of the proposals where samples are resampled.
        nuclei: top-p, the same; where samples are resampled, all words.

    Returns:
        "temperature" and "top_p", the "hottest" temperature that was tried, metrics of so many "samples" of a test
        image, "validation_jsd", "plain_jsd", on test at temperature 1 without a nucleus, and where it has them
        "nll_per_token", of people's captions as the run's own evaluation has it, and its bounds,
        "limit_nll_per_token_low" and "_high"; see `known_by_judge` as well.
    """
    if phase in own_decoding(read_settings(run)):
        nuclei = (1.0,)  # a cut-off policy never proposes much of what people write
    grid = [(temperature, nucleus) for temperature in temperatures for nucleus in nuclei]
    trained = open_run(run, device="auto")
    trained.load(phase)
    few = evaluator_of(trained, "val", samples_per_image=SAMPLES)
    val, test = (evaluator_of(trained, split, samples_per_image=TEST_SAMPLES) for split in ("val", "test"))
    first = {point: jsd_at(trained, few, phase, *point) for point in grid}
    chosen = {point: jsd_at(trained, val, phase, *point) for point in ranked(first)[:FINALISTS]}
    temperature, top_p = best(chosen)
    at_best = at(trained, test, phase, temperature, top_p)
    plain = at_best["jsd"] if (temperature, top_p) == (1.0, 1.0) else jsd_at(trained, test, phase, 1.0, 1.0)
    if math.isnan(chosen[temperature, top_p]):  # nothing was chosen, and what it is elsewhere is no value
        at_best["jsd"] = math.nan
    return {
        "samples": TEST_SAMPLES, **at_best, "temperature": temperature, "top_p": top_p, "hottest": max(temperatures),
        "validation_jsd": chosen[temperature, top_p], "plain_jsd": plain,
        **{name: value for name, value in systems(run)[phase].items() if "nll_per_token" in name},
        **known_by_judge(run),
    }  # fmt: skip


def known_by_judge(run: Path) -> dict[str, float]:
    """Return "judge_auc" and "judge_log_loss": what the discriminator that a run took knew of held-out images."""
    taken = read_settings(run).pretrained_discriminator
    if not taken:
        return {}
    _, last = looks(read_records(Path(taken) / METRICS))
    return {f"judge_{name}": last[f"ratio/{name}"] for name in ("auc", "log_loss")}


def best(divergences: Mapping[Of, float]) -> Of:
    """Return the point, or the setting, with the lowest divergence; see `ranked`."""
    return ranked(divergences)[0]


def ranked(divergences: Mapping[Of, float]) -> list[Of]:
    """Return points, or settings, from the lowest divergence up; where it could not be estimated it is the highest."""
    return sorted(divergences, key=lambda one: math.inf if math.isnan(divergences[one]) else divergences[one])


def jsd_at(trained: Trained, evaluator: Evaluator, phase: str, temperature: float, top_p: float) -> float:
    """Return the divergence alone of samples at a temperature and a nucleus."""
    sampler, samples = _drawn(trained, evaluator, phase, temperature, top_p)
    return evaluator.possible(trained.captioner, samples, sampler)["jsd"]


def at(trained: Trained, evaluator: Evaluator, phase: str, temperature: float, top_p: float) -> dict[str, float]:
    """Return what samples at a temperature and a nucleus are worth."""
    sampler, samples = _drawn(trained, evaluator, phase, temperature, top_p)
    every = [evaluator.all_metrics[name] for name in ("sample_oracle_true", "sample_oracle_outside", "sample_length")]
    told = measure(every, evaluator.predictions([], samples))
    few = [own[:SAMPLES] for own in samples]  # more of an image share more of their bigrams
    told |= measure([evaluator.all_metrics["div_2"]], evaluator.predictions([], few))
    return {
        **{name: corpus_value(value) for name, value in told.items()},
        "true_at_lengths": true_at_lengths(evaluator, samples),
        **evaluator.possible(trained.captioner, samples, sampler),
    }


def _drawn(
    trained: Trained, evaluator: Evaluator, phase: str, temperature: float, top_p: float
) -> tuple[Sampler, list[Sequence[str]]]:
    sampler = evaluator.sampler_at(phase, temperature=temperature, top_p=top_p)
    return sampler, evaluator.sample(trained.captioner, sampler)


def true_at_lengths(evaluator: Evaluator, samples: Sequence[Sequence[str]]) -> float:
    """Return the share of true samples, K an image, each length weighing as much as it does among people's captions."""
    metric = evaluator.all_metrics["sample_oracle_true"]
    true: list[float] = []
    lengths: list[int] = []
    for own in zip(*samples, strict=True):  # one of every image
        told = evaluator.predictions([], [[text] for text in own])
        value = measure([metric], told)[metric.name]
        assert isinstance(value, Score)
        true += value.per_image.tolist()
        lengths += [len(text.split()) for (text,) in told.samples]
    return matched(true, lengths, Counter(len(text.split()) for own in evaluator.references for text in own))


def matched(values: Sequence[float], lengths: Sequence[int], people: Mapping[int, int]) -> float:
    """Return the mean of values by length, weighted by how many of people's captions have it; other lengths are left.

    It is NaN where people write no captions of any of these lengths, as before a policy has learned.
    """
    told: dict[int, list[float]] = {}
    for value, length in zip(values, lengths, strict=True):
        told.setdefault(length, []).append(value)
    shared = {length: people[length] for length in told if people.get(length)}
    if not shared:
        return math.nan
    return sum(count * fmean(told[length]) for length, count in shared.items()) / sum(shared.values())
