"""Other captioners as discriminators of one: log p_other - log p, of captions of images that neither learned from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.ratio import evaluator_of, evaluator_on, held_out
from experiments.ratio_on_scenes.measure import NUCLEI, TEMPERATURES, best, jsd_at
from experiments.study import cost_of, systems
from gan_caption.decoding.reweighted import log_mean
from gan_caption.discriminators.calibrated import platt
from gan_caption.evaluation.evaluator import Evaluator
from gan_caption.evaluation.trained import Trained, open_run
from gan_caption.metrics.divergence import jensen_shannon
from gan_caption.reporting.seeds import with_interval
from gan_caption.reporting.table import markdown
from gan_caption.training.phases.held_out import measured

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


@dataclass(frozen=True)
class Pair:
    """The captioner that is judged and the one that judges it, and their measures on the same images."""

    judged: Trained
    judge: Trained
    own: Evaluator
    other: Evaluator

    @classmethod
    def of(cls, judged: Trained, judge: Trained, measure: Callable[[Trained], Evaluator]) -> Pair:
        """Return a pair on the images that `measure` takes."""
        return cls(judged, judge, measure(judged), measure(judge))

    def log_ratios(self, captions: Sequence[Sequence[str]]) -> Tensor:
        """Return log p_other - log p_ref of captions of every image, (M,) nats, as either samples by itself."""
        return _log_probs(self.other, self.judge, captions) - _log_probs(self.own, self.judged, captions)


def knows(run: Path, base: Path) -> dict[str, Any]:
    """Return what a captioner knows of another one's samples.

    Args:
        run: the captioner's, trained by maximum likelihood.
        base: of the one whose samples are to be told from people's captions; both have kept the same images from
            everybody.
    """
    judged, judge = open_run(base, device="auto"), open_run(run, device="auto")
    for trained in (judged, judge):
        trained.load(PHASE)
    split = held_out(judged)
    apart = Pair.of(judged, judge, lambda one: evaluator_on(one, split, samples_per_image=SAMPLES))
    samples = apart.own.sample(judged.captioner, apart.own.sampling)
    people, policy = apart.log_ratios(apart.own.people(SAMPLES)), apart.log_ratios(samples)
    scale, shift = platt(people, policy)
    told = measured(scale * people + shift, scale * policy + shift)
    metrics = systems(run)[PHASE]
    val, test = (
        Pair.of(judged, judge, partial(evaluator_of, name=name, samples_per_image=CANDIDATES))
        for name in ("val", "test")
    )
    return {
        "minutes": cost_of(run), "nll": metrics["nll_per_token"], "plain_jsd": metrics["jsd"],
        "scale": scale, **resampled(val, test, scale),
        **{key: told[f"ratio/{key}"] for key in ("auc", "log_loss", "ece")},
    }  # fmt: skip


def resampled(val: Pair, test: Pair, scale: float) -> dict[str, float]:
    """Return the divergences on test scenes of p_ref and of p_ref (p_other / p_ref)^scale / Z.

    Each is at its own best point on validation scenes, the first of the whole grid, the second of the temperatures of
    its proposals, and by as many samples.
    """
    temperature, top_p = best(
        {point: jsd_at(val.judged, val.own, PHASE, *point) for point in product(TEMPERATURES, NUCLEI)}
    )
    at = best({one: _resampled_at(val, scale, one) for one in TEMPERATURES})
    return {
        "temperature": temperature, "top_p": top_p,
        "jsd_of_ref": jsd_at(test.judged, test.own, PHASE, temperature, top_p),
        "resampled_at": at, "jsd_resampled": _resampled_at(test, scale, at),
    }  # fmt: skip


def _resampled_at(pair: Pair, scale: float, temperature: float) -> float:
    own, captioner = pair.own, pair.judged.captioner
    proposals = own.sampler_at(PHASE, temperature=temperature, top_p=1.0)

    def told(captions: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        return own.log_ratios(captioner, captions, proposals), (scale * pair.log_ratios(captions)).numpy()

    people, candidates = own.people(SAMPLES), own.sample(captioner, proposals)
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
    ratios, log_weights = map(torch.as_tensor, candidates)
    half = ratios.shape[1] // 2
    log_z = log_mean(log_weights[:, :half], dim=1)
    generated = ratios[:, half:] - log_weights[:, half:] + log_z[:, None]
    drawn = log_weights[:, half:].softmax(dim=1)
    real = people_ratios - people_weights + log_z.numpy()[images]
    return jensen_shannon(real, generated.flatten().numpy(), drawn.flatten().numpy())


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
