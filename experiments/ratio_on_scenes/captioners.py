"""Other captioners as discriminators of one: log p_other - log p, of captions of images that neither learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp, softmax
from torch import Tensor

from experiments.ratio import evaluator_of, evaluator_on
from experiments.ratio_on_scenes.measure import NUCLEI, TEMPERATURES, jsd_at
from experiments.study import cost_of, systems
from gan_caption.data.corpus import Split
from gan_caption.data.holdout import learners
from gan_caption.discriminators.calibrated import platt
from gan_caption.evaluation.evaluator import Evaluator
from gan_caption.evaluation.trained import Trained, open_run
from gan_caption.metrics.divergence import jensen_shannon
from gan_caption.reporting.seeds import with_interval
from gan_caption.reporting.table import markdown
from gan_caption.training.phases.held_out import measured
from gan_caption.training.setup import load_split, open_corpus

PHASE = "mle"
SAMPLES = 5
"""Of each image, as many as people wrote captions."""
CANDIDATES = 40
"""Of each image, half of which say what the weights of the other half add up to."""
SHOWN = (
    ("minutes", "minutes", 0), ("nll", "NLL a token", 3), ("plain_jsd", "its JSD at temperature 1", 3),
    ("auc", "AUC", 3), ("log_loss", "log-loss, calibrated", 4), ("scale", "scale", 2),
    ("jsd_of_ref", "JSD of p_ref", 3), ("jsd_resampled", "JSD of p_ref resampled by it", 3),
)  # fmt: skip


def knows(run: Path, base: Path) -> dict[str, Any]:
    """Return what a captioner knows of another one's samples.

    Args:
        run: the captioner's, trained by maximum likelihood.
        base: of the one whose samples are to be told from people's captions; both have kept the same images from
            everybody.
    """
    judge, judged = open_run(run, device="auto"), open_run(base, device="auto")
    for trained in (judge, judged):
        trained.load(PHASE)
    split = held_out(judged)
    own, other = (evaluator_on(trained, split, samples_per_image=SAMPLES) for trained in (judged, judge))
    samples = own.sample(judged.captioner, own.sampling)
    people, policy = (
        _log_probs(other, judge, captions) - _log_probs(own, judged, captions)
        for captions in (own.people(SAMPLES), samples)
    )
    scale, shift = platt(people, policy)
    told = measured(scale * people + shift, scale * policy + shift)
    metrics = systems(run)[PHASE]
    return {
        "minutes": cost_of(run), "nll": metrics["nll_per_token"], "plain_jsd": metrics["jsd"],
        "scale": scale, **resampled(judged, judge, scale),
        **{key: told[f"ratio/{key}"] for key in ("auc", "log_loss", "ece")},
    }  # fmt: skip


def resampled(judged: Trained, judge: Trained, scale: float) -> dict[str, float]:
    """Return the divergences on test scenes of p_ref and of p_ref (p_other / p_ref)^scale / Z.

    Each is at its own best point on validation scenes, the first of the whole grid, the second of the temperatures of
    its proposals, and by as many samples.
    """
    val, test = (evaluator_of(judged, split, samples_per_image=CANDIDATES) for split in ("val", "test"))
    temperature, top_p = min(product(TEMPERATURES, NUCLEI), key=lambda point: jsd_at(judged, val, PHASE, *point))
    at = min(TEMPERATURES, key=lambda one: _divergence_at(judged, judge, "val", scale, one))
    return {
        "temperature": temperature, "top_p": top_p, "jsd_of_ref": jsd_at(judged, test, PHASE, temperature, top_p),
        "resampled_at": at, "jsd_resampled": _divergence_at(judged, judge, "test", scale, at),
    }  # fmt: skip


def _divergence_at(judged: Trained, judge: Trained, split: str, scale: float, temperature: float) -> float:
    own, other = (evaluator_of(trained, split, samples_per_image=CANDIDATES) for trained in (judged, judge))
    proposals = own.sampler_at(PHASE, temperature=temperature, top_p=1.0)

    def told(captions: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        log_weights = scale * (_log_probs(other, judge, captions) - _log_probs(own, judged, captions))
        return own.log_ratios(judged.captioner, captions, proposals), log_weights.numpy()

    people, candidates = own.people(SAMPLES), own.sample(judged.captioner, proposals)
    images = np.repeat(np.arange(len(people)), [len(captions) for captions in people])
    return reweighted((images, *told(people)), [one.reshape(-1, CANDIDATES) for one in told(candidates)])


def reweighted(people: Sequence[np.ndarray], candidates: Sequence[np.ndarray]) -> float:
    """Return the divergence between p and q w / Z, where w are weights and Z an image's mean of them under q.

    Args:
        people: (N,) the image of a sample of p, log p - log q, log w.
        candidates: (B, K) log p - log q and log w of samples of q. Half of them tell Z, and the other half count as
            often as resampling would draw them, in place of a draw.
    """
    images, people_ratios, people_weights = people
    ratios, log_weights = candidates
    half = ratios.shape[1] // 2
    log_z = logsumexp(log_weights[:, :half], axis=1) - np.log(half)
    generated = ratios[:, half:] - log_weights[:, half:] + log_z[:, None]
    drawn = softmax(log_weights[:, half:], axis=1)
    return jensen_shannon(people_ratios - people_weights + log_z[images], generated.ravel(), drawn.ravel())


def held_out(trained: Trained) -> Split:
    """Return the training images of a run that nobody learned from."""
    split = load_split(open_corpus(trained.settings), "train", lambda line: None)
    return split.select(learners(split, trained.settings.holdout).nobody.tolist())


def _log_probs(evaluator: Evaluator, trained: Trained, captions: Sequence[Sequence[str]]) -> Tensor:
    told = evaluator.scored(trained.captioner, captions, evaluator.sampling)
    return torch.tensor(list(chain.from_iterable(told)), dtype=torch.float64)


def table_of_captioners(found: Mapping[str, Mapping[int, Mapping[str, Any]]], seeds: Sequence[int]) -> str:
    """Return a Markdown table: a row a captioner and seed, see `knows`, and the mean of several of `seeds`."""
    rows = [["log p_other - log p_ref", "seed", *(label for _, label, _ in SHOWN), "difference"]]
    for name, runs in found.items():
        for seed, one in runs.items():
            rows.append([name, str(seed), *_cells([one])])
        confirming = [one for seed, one in runs.items() if seed in seeds]
        if len(confirming) > 1:
            rows.append([f"{name}, mean", f"{len(confirming)} of {len(seeds)}", *_cells(confirming)])
    return markdown(rows)


def _cells(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    changes = [one["jsd_resampled"] - one["jsd_of_ref"] for one in runs]
    shown = [with_interval([one[key] for one in runs], decimals) for key, _, decimals in SHOWN]
    return [*shown, with_interval(changes, 3, sign="+")]
