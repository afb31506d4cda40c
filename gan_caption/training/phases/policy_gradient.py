"""Training of the generator by its objective alone: by a reward that does not learn beside it, CIDEr-D say."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from gan_caption.data.batches import Batch, CaptionBatches, without_unknown
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import UserError, above, at_least
from gan_caption.generators.base import Generator
from gan_caption.metrics.metric import Metric
from gan_caption.modes import evaluating, forked_random
from gan_caption.objectives.base import GeneratorObjective, PolicyLoss
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood
from gan_caption.training.diagnostics import Diagnostics
from gan_caption.training.learning_rates import LearningRate
from gan_caption.training.optimizers import Optimizer, set_learning_rates
from gan_caption.training.phases.base import Phase, Precision, autocast, descend, generator_groups
from gan_caption.training.pretrained import frozen
from gan_caption.training.run import Run
from gan_caption.training.seeding import random_generator


@dataclass(kw_only=True, eq=False)
class PolicyGradientPhase(Phase):
    """One step: a generator update.

    The encoder is frozen here, and the generator runs without dropout: the scored distribution is the sampled one.
    """

    objective: GeneratorObjective
    """What makes the generator's losses."""
    pretraining: str = field()  # the contract's None is no default here
    """The phase whose best weights are the frozen reference, and whose validation is that of the floors: an earlier one
    of this kind, where rounds follow each other."""
    steps: int
    """Generator updates."""
    images_per_batch: int
    """B, those of all processes together."""
    captions_per_image: int
    """Real captions of each, for the interleaved term and for objectives that compare."""
    optimizer: Optimizer
    """Of the generator."""
    learning_rate: float
    """The generator's, at its highest."""
    pretrained_learning_rate: float | None
    """Of what came pretrained in it, a tuned language model; None: the same."""
    learning_rate_schedule: LearningRate
    """How it moves over the phase."""
    clip: float
    """Largest gradient norm."""
    precision: Precision
    """Of sampling and scoring; "bfloat16" on devices made for it."""
    likelihood: MaximumLikelihood | None
    """The interleaved maximum-likelihood term; None for none."""
    likelihood_weight: float
    """Of this term."""
    validate_every: int = field()  # the contract's 0 is no default here
    """Steps between validations."""
    quality_metric: str
    """The metric of validation that has a floor: "cider_d" or another, by its name."""
    quality_floor: float
    """A validation is healthy while that metric is at least this share of the pretrained one (at most 1 / this, where
    lower is better) ..."""
    entropy_floor: float
    """... and the policy's entropy at least this share of its first value. The last healthy weights are what the phase
    leaves."""
    patience: int = field()  # the contract's 0 is no default here
    """Unhealthy validations in a row before the phase stops; 0 never stops."""
    diagnostics: Diagnostics
    """What is warned of."""

    run: Run = field(init=False, repr=False)
    quality: Metric = field(init=False, repr=False)
    batches: CaptionBatches = field(init=False, repr=False)
    updater: torch.optim.Optimizer = field(init=False, repr=False)
    reference: Generator | None = field(init=False, repr=False, default=None)
    _warnings: list[str] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        at_least(1, captions_per_image=self.captions_per_image, steps=self.steps)
        at_least(1, images_per_batch=self.images_per_batch, validate_every=self.validate_every)
        at_least(0, learning_rate=self.learning_rate, pretrained_learning_rate=self.pretrained_learning_rate)
        above(0, clip=self.clip)
        at_least(0, likelihood_weight=self.likelihood_weight, patience=self.patience)

    def begin(self, run: Run) -> None:
        """Make the optimizer, the batches and the frozen copy of the pretrained policy."""
        self.run = run
        self.quality = run.metric(self.quality_metric, asked="quality_metric")
        self.batches = self._batches(run, self.images_per_batch)
        self.updater = self.optimizer(
            generator_groups(run.generator, self.learning_rate, pretrained=self.pretrained_learning_rate)
        )
        self.reference = None
        path = run.best_weights(run.left_by(self.pretraining))
        if path.exists():
            self.reference = frozen(run.captioner, path, vocabulary=run.tokenizer.fingerprint)

    def rehearse(self, run: Run) -> None:
        """Look up the metric, and compute one loss of the generator; see `Phase.rehearse`.

        Raises:
            ValueError: there is no such metric, parts do not fit, or nothing in the generator came pretrained.
            UserError: no image has a caption that may be shown.
        """
        if self.pretrained_learning_rate is not None and not run.generator.pretrained_parameters():
            raise ValueError(
                f"pretrained_learning_rate={self.pretrained_learning_rate}: nothing in the generator came pretrained "
                "and learns: leave it out"
            )
        run.metric(self.quality_metric, asked="quality_metric")
        batches = self._batches(run, self.images_per_batch)
        if not len(batches.rows):
            raise UserError(
                "the policy's objective shows people's captions without <unk>, and no training image has one: lower "
                "vocabulary.min_count, or give more captions"
            )
        left = len(batches.rows) % self.images_per_batch
        batches.images = min(left or self.images_per_batch, 2)  # an epoch's last batch may be of one image
        batch = batches.at(0)
        memory = copy.deepcopy(self.objective.state_dict())
        with forked_random(run.device), evaluating(run.captioner):
            losses = self.objective.losses(
                run.generator, run.features(batch.rows, grid=True), real=batch.captions.to(run.device),
                max_length=run.max_length, rng=random_generator(0), reference=run.generator, progress=0.0,
            )  # fmt: skip
            told = next(losses).metrics.get("reward/mean", 0.0)
        if not math.isfinite(told):
            raise ValueError(f"reward/mean of two images is {told}: the reward gives NaN or infinite numbers")
        self.objective.load_state_dict(memory)

    def _batches(self, run: Run, images: int) -> CaptionBatches:
        """Return batches of so many images, and of their captions those that the objective may be given."""
        people = without_unknown(run.encoded) if self.objective.shows_people else run.encoded
        return run.batches(people, images=images, per_image=self.captions_per_image, stream=2)

    @property
    def total(self) -> int:
        """Generator updates."""
        return self.steps

    def step(self, index: int) -> dict[str, float]:
        """Do one generator update, or as many as the objective makes of one batch of samples."""
        run = self.run
        run.captioner.eval()
        batch = self.batches.at(index)
        grid = run.generator.uses_grid or (run.networks.discriminator is not None and run.discriminator.uses_grid)
        with torch.no_grad():
            features = run.features(batch.rows, grid=grid)
        set_learning_rates(self.updater, self.learning_rate_schedule, step=index, total=self.total)
        progress = index / self.steps
        losses = self.objective.losses(
            run.generator, features, real=batch.captions.to(run.device), max_length=run.max_length, rng=run.rng,
            reference=self.reference, progress=progress,
        )  # fmt: skip
        metrics: dict[str, float] = {}
        while policy := self._next(losses):
            metrics |= self._update(policy, features, batch)
        metrics |= self._respond(progress)
        self._warnings = self.diagnostics.follow(metrics)
        return metrics

    def warnings(self) -> list[str]:
        """Return the ailments that the last step showed first."""
        return self._warnings

    def heed(self, validation: Mapping[str, float]) -> list[str]:
        """Return the ailments that the validation showed first."""
        return self.diagnostics.follow(validation)

    def is_better(self, metrics: dict[str, float], best: dict[str, float]) -> bool:
        """Tell whether the policy is healthy: the latest healthy one is kept, not the one that scores highest."""
        del best
        name = self.quality.name
        reference = self.run.selected.get(self.run.left_by(self.pretraining), {}).get(name)
        good = reference is None or self.quality.keeps(metrics[name], share=self.quality_floor, reference=reference)
        return good and self.diagnostics.entropy_share() >= self.entropy_floor

    def _next(self, losses: Iterator[PolicyLoss]) -> PolicyLoss | None:
        with autocast(self.run.device, self.precision):
            return next(losses, None)

    def _update(self, policy: PolicyLoss, features: ImageFeatures, batch: Batch) -> dict[str, float]:
        """Do one gradient step of the generator."""
        run = self.run
        loss, metrics = policy.loss, policy.metrics
        if self.likelihood is not None and self.likelihood_weight:
            with autocast(run.device, self.precision):
                likelihood = self.likelihood.loss(run.generator, features, batch.captions.to(run.device), run.rng)
            loss = loss + self.likelihood_weight * likelihood
            metrics["policy/mle_loss"] = likelihood.item()
        descent = descend(self.updater, [loss], run.generator, clip=self.clip)
        return {**metrics, "policy/loss": descent.loss, "policy/gradient_norm": descent.gradient_norm}

    def _respond(self, progress: float) -> dict[str, float]:
        """Do what follows a generator update, where this share of the phase is done, and return numbers to log."""
        del progress
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return optimizer, objective and the entropy's course."""
        return {
            "optimizer": self.updater.state_dict(),
            "objective": self.objective.state_dict(),
            "diagnostics": self.diagnostics.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.updater.load_state_dict(state["optimizer"])
        self.objective.load_state_dict(state["objective"])
        self.diagnostics.load_state_dict(state["diagnostics"])
