"""Two language models in the discriminator's place: log p_people - log p_samples, and neither sees an image.

They are the ratio learned the other way: not by telling captions apart, but each kind by itself, by maximum likelihood.
All else is a blind discriminator's: both begin as the captioner, which is shown zeros, and read as many captions.
"""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from experiments.ratio import evaluator_on, held_out
from experiments.ratio_on_flickr8k.captioners import resampled_by
from experiments.ratio_on_flickr8k.measure import SAMPLES, Measure, Place
from gan_caption.data.batches import CaptionBatches, without_unknown
from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.data.holdout import learners
from gan_caption.discriminators.blind import BlindDiscriminator
from gan_caption.discriminators.calibrated import Calibrated, platt
from gan_caption.discriminators.likelihood_ratio import LikelihoodRatioDiscriminator
from gan_caption.evaluation.judge_network import JudgeSettings
from gan_caption.evaluation.trained import Trained
from gan_caption.generators.base import Generator
from gan_caption.objectives.samples import policy_samples
from gan_caption.training.folders import BASELINE
from gan_caption.training.phases.held_out import measured
from gan_caption.training.seeding import random_generator
from gan_caption.training.setup import load_split, open_corpus, open_features

CHECK_EVERY, IMAGES, RATE, CLIP = 100, 20, 3e-4, 5.0
"""As a discriminator of this study learns, whose log-loss is measured every 50 steps."""


def found_by_language_models(run: Path, split: str, judge: JudgeSettings, place: Place, *,
                             steps: int) -> dict[str, Any]:  # fmt: skip
    """Measure what is resampled of a captioner by two language models, and return a `Found` as a dictionary.

    Args:
        run: of the captioner.
        split: "val" or "test".
        judge: of the endpoint.
        place: where samples are drawn.
        steps: of learning.
    """
    measure = Measure(run, split, judge)
    measure.trained.load(BASELINE)
    began = time.process_time()
    models = two_language_models(measure.trained, steps=steps)
    return resampled_by(measure, models, "language_models", place, minutes=(time.process_time() - began) / 60)


def two_language_models(trained: Trained, *, steps: int, rate: float = RATE) -> Calibrated:
    """Return log p_people - log p_samples as a discriminator, calibrated on images that nobody has learned from.

    Of both the weights are kept at which that has the lowest log-loss there.

    Args:
        trained: the captioner, whose weights are loaded.
        steps: of both, each on captions of as many images as a step of D has.
        rate: the learning rate of both.
    """
    settings, device, captioner = trained.settings, trained.device, trained.captioner.generator
    train = load_split(open_corpus(settings), "train", lambda line: None)
    source = open_features(settings, trained.encoder, train, device=device)
    encode, longest = trained.tokenizer.encode, settings.max_length
    texts = [trained.tokenizer.normalize(list(item.captions)) for item in train.items]
    batches = CaptionBatches(
        without_unknown([[encode(text, max_length=longest) for text in own] for own in texts]), images=IMAGES,
        captions_per_image=SAMPLES, seed=settings.seed, rows=learners(train, settings.holdout).generator,
    )  # fmt: skip

    ratio = LikelihoodRatioDiscriminator(generator=copy.deepcopy(captioner))
    ratio.reference.requires_grad_(True)
    blind = BlindDiscriminator(discriminator=ratio).to(device).eval()
    held = evaluator_on(trained, held_out(trained), samples_per_image=SAMPLES)
    drawn = held.sample(trained.captioner, held.sampling)
    updaters = [torch.optim.AdamW(one.parameters(), lr=rate) for one in (ratio.generator, ratio.reference)]
    rng, lowest, best = random_generator(settings.seed, 7), math.inf, blind.state_dict()
    for step in range(steps + 1):
        if step % CHECK_EVERY == 0 or step == steps:
            loss = calibrated_loss(*(torch.tensor(own) for own in held.opinions(blind, drawn)))
            print(f"two language models: {step} of {steps} steps, held-out log-loss {loss:.4f}", flush=True)
            if loss < lowest:
                lowest, best = loss, copy.deepcopy(blind.state_dict())
        if step == steps:
            break
        batch = batches.at(step)
        features = source.features(batch.rows, grid=captioner.uses_grid, device=device)
        samples = policy_samples(captioner, features, samples=SAMPLES, max_length=longest, rng=rng)
        dark = blind.seen(features)
        for model, captions, updater in zip((ratio.generator, ratio.reference), (batch.captions.to(device), samples),
                                            updaters, strict=True):  # fmt: skip
            learn(model, dark, captions, updater)
    blind.load_state_dict(best)
    found = Calibrated(discriminator=blind).to(device).eval()
    found.calibrate(*(torch.tensor(own) for own in held.opinions(found, drawn)))
    return found


def calibrated_loss(people: torch.Tensor, samples: torch.Tensor) -> float:
    """Return the log-loss, in nats, that logits of people's captions and of samples have once they are calibrated."""
    scale, shift = platt(people, samples)
    return measured(scale * people + shift, scale * samples + shift)["ratio/log_loss"]


def learn(model: Generator, features: ImageFeatures, captions: Captions, updater: torch.optim.Optimizer) -> None:
    """Do one step of maximum likelihood."""
    loss = -model.score(features, captions).sum() / captions.mask.sum()
    updater.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    updater.step()
