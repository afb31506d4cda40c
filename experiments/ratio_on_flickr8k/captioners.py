"""Another captioner in the discriminator's place: log p_other - log p_ref, what one knows that the other does not.

It has met no sample, and costs about what a discriminator costs: the rival of whatever resamples.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from experiments.ratio import evaluator_on, held_out
from experiments.ratio_on_flickr8k.measure import SAMPLES, Found, Measure, Place, auc_of
from experiments.records import base_of
from experiments.study import cost_of
from gan_caption.decoding.resampling import Resampling
from gan_caption.discriminators.calibrated import Calibrated
from gan_caption.discriminators.likelihood_ratio import LikelihoodRatioDiscriminator
from gan_caption.evaluation.judge_network import JudgeSettings
from gan_caption.evaluation.trained import Trained, open_run
from gan_caption.rewards.discriminator import DiscriminatorReward
from gan_caption.rewards.transforms import Logit
from gan_caption.training.folders import BASELINE

CANDIDATES = 20


def found_by_another(run: Path, base: Path, split: str, judge: JudgeSettings, place: Place) -> dict[str, Any]:
    """Measure what is resampled of a captioner by another one, and return a `Found` as a dictionary.

    What it is at people's diversity is not asked, as only one point is.

    Args:
        run: of the captioner that judges, trained by maximum likelihood.
        base: of the one whose samples are resampled; both have learned from the same images.
        split: "val" or "test".
        judge: of the endpoint.
        place: where samples are drawn.
    """
    measure = Measure(base, split, judge)
    trained, evaluator = measure.trained, measure.evaluator
    trained.load(BASELINE)
    other = taught(trained, open_run(run, device="auto"))
    resampled = f"resampled_by_{base_of(run)}"  # what is kept of a point is kept of this captioner
    evaluator.decoders = {resampled: Resampling(
        judge=DiscriminatorReward(discriminator=other, transform=Logit(), chunk_rows=2048), alpha=1.0, own_weight=0.0,
        candidates=CANDIDATES, temperature=1.0, top_k=0, top_p=1.0, density_sets=1,
    )}  # fmt: skip
    point = measure.once(resampled, place, judged=True, limits=False)
    known = auc_of(measure, other)
    evaluator.samples_per_image = 2  # none of them is looked at
    nll = evaluator.evaluate(trained.captioner, phase=resampled).metrics["nll_per_token"]
    people = measure.scale.level
    return asdict(Found([point], math.nan, math.nan, people, cost_of(run), nll, known))


def taught(trained: Trained, other: Trained) -> Calibrated:
    """Return log p_other - log p_ref as a discriminator, calibrated on images that neither has learned from.

    Args:
        trained: p_ref.
        other: p_other; its maximum-likelihood weights are loaded.

    Raises:
        ValueError: they have other words, or other eyes.
    """
    if other.tokenizer.fingerprint != trained.tokenizer.fingerprint:
        raise ValueError("a captioner judges another one's captions token by token: both need the same vocabulary")
    other.load(BASELINE)
    theirs, own = other.encoder.state_dict(), trained.encoder.state_dict()
    if theirs.keys() != own.keys() or any(not torch.equal(theirs[name], weight) for name, weight in own.items()):
        raise ValueError("a captioner judges another one's captions by the features of that one: give a frozen encoder")
    ratio = LikelihoodRatioDiscriminator(generator=copy.deepcopy(other.captioner.generator))
    ratio.reference.load_state_dict(trained.captioner.generator.state_dict())
    found = Calibrated(discriminator=ratio).to(trained.device).eval()
    evaluator = evaluator_on(trained, held_out(trained), samples_per_image=SAMPLES)
    samples = evaluator.sample(trained.captioner, evaluator.sampling)
    found.calibrate(*(torch.tensor(own) for own in evaluator.opinions(found, samples)))
    return found
