"""Adversarial training: the generator by policy gradient, the discriminator in turn."""

from __future__ import annotations

import copy
from typing import Any

import torch

from gan_caption.data.batches import Batch
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import at_least
from gan_caption.generators.base import Generator
from gan_caption.modes import evaluating
from gan_caption.objectives.base import GeneratorObjective, PolicyLoss
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood
from gan_caption.training.checkpoint import load_weights
from gan_caption.training.diagnostics import Diagnostics
from gan_caption.training.networks import EncoderDecoder
from gan_caption.training.phases.base import Phase, adamw, descend
from gan_caption.training.phases.discriminator import DiscriminatorTrainer
from gan_caption.training.run import Run
from gan_caption.training.seeding import random_generator


class AdversarialPhase(Phase):
    """One step: a generator update, then the discriminator's updates behind an accuracy gate.

    The encoder is frozen here, and the generator runs without dropout: the scored distribution is the sampled one.
    """

    def __init__(
        self,
        *,
        objective: GeneratorObjective,
        trainer: DiscriminatorTrainer | None = None,
        pretraining: str = "mle",
        steps: int = 300,
        images_per_batch: int = 64,
        captions_per_image: int = 1,
        learning_rate: float = 5e-5,
        weight_decay: float = 0.0,
        clip: float = 5.0,
        likelihood: MaximumLikelihood | None = None,
        likelihood_weight: float = 0.1,
        discriminator_steps: int = 1,
        accuracy_ceiling: float = 0.9,
        validate_every: int = 100,
        quality_metric: str = "cider_d",
        quality_floor: float = 0.9,
        entropy_floor: float = 0.3,
        patience: int = 2,
    ) -> None:
        """Set the phase.

        Args:
            objective: the policy gradient, say.
            trainer: one step of D; None where the reward has nothing to learn.
            pretraining: the phase whose best weights are the reference of `policy/kl`, and whose validation is the
                reference of the floors.
            steps: generator updates.
            images_per_batch: B, those of all processes together.
            captions_per_image: real captions of each, for the interleaved term and for objectives that compare.
            learning_rate: the generator's, of AdamW.
            weight_decay: of AdamW.
            clip: largest gradient norm.
            likelihood: the interleaved maximum-likelihood term; None for none.
            likelihood_weight: of this term.
            discriminator_steps: D updates after each generator update.
            accuracy_ceiling: while D's moving accuracy is above this, D is looked at and not updated.
            validate_every: steps between validations.
            quality_metric: the metric of validation that has a floor, CIDEr-D or another by its name.
            quality_floor: a validation is healthy while that metric stays above this share of the pretrained one (below
                1 / this, where lower is better) ...
            entropy_floor: ... and the policy's entropy above this share of its first value. The last
                healthy weights are what the phase leaves.
            patience: unhealthy validations in a row before the phase stops.
        """
        at_least(1, captions_per_image=captions_per_image)
        at_least(1, steps=steps, images_per_batch=images_per_batch, validate_every=validate_every)
        at_least(0, learning_rate=learning_rate, weight_decay=weight_decay, clip=clip)
        at_least(0, discriminator_steps=discriminator_steps, likelihood_weight=likelihood_weight, patience=patience)
        self.objective = objective
        self.trainer = trainer
        self.pretraining = pretraining
        self.steps = steps
        self.images_per_batch = images_per_batch
        self.captions_per_image = captions_per_image
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip = clip
        self.likelihood = likelihood
        self.likelihood_weight = likelihood_weight
        self.discriminator_steps = discriminator_steps
        self.accuracy_ceiling = accuracy_ceiling
        self.validate_every = validate_every
        self.quality_metric = quality_metric
        self.quality_floor = quality_floor
        self.entropy_floor = entropy_floor
        self.patience = patience
        self.diagnostics = Diagnostics()
        self._warnings: list[str] = []

    def begin(self, run: Run) -> None:
        """Make the optimizers, the batches and the frozen copy of the pretrained policy."""
        self.run = run
        self.quality = run.metric(self.quality_metric, asked="quality_metric")
        self.batches = run.batches(
            run.encoded, images=self.images_per_batch, per_image=self.captions_per_image, stream=2
        )
        self.optimizer = adamw(
            run.generator.parameters(), learning_rate=self.learning_rate, weight_decay=self.weight_decay
        )
        if self.trainer is not None:
            self.trainer.begin(run, stream=3)
        self.reference: Generator | None = None
        path = run.best_weights(self.pretraining)
        if path.exists():
            reference: EncoderDecoder = copy.deepcopy(run.captioner)
            load_weights(reference, path, vocabulary=run.vocabulary.fingerprint)
            self.reference = reference.generator.eval().requires_grad_(False)

    def rehearse(self, run: Run) -> None:
        """Compute one loss of the generator; see `Phase.rehearse`."""
        run.metric(self.quality_metric, asked="quality_metric")
        batch = run.batches(run.encoded, images=2, per_image=self.captions_per_image, stream=2).at(0)
        memory = copy.deepcopy(self.objective.state_dict())
        with torch.random.fork_rng(), evaluating(run.captioner):
            losses = self.objective.losses(
                run.generator, run.features(batch.rows, grid=True), real=batch.captions.to(run.device),
                max_length=run.max_length, rng=random_generator(0), reference=run.generator, progress=0.0,
            )  # fmt: skip
            next(losses)
        self.objective.load_state_dict(memory)

    @property
    def total(self) -> int:
        """Generator updates."""
        return self.steps

    def step(self, index: int) -> dict[str, float]:
        """Do one generator update and the discriminator updates that follow it."""
        run = self.run
        run.captioner.eval()
        batch = self.batches.at(index)
        grid = run.generator.uses_grid or (run.networks.discriminator is not None and run.discriminator.uses_grid)
        with torch.no_grad():
            features = run.features(batch.rows, grid=grid)
        metrics: dict[str, float] = {}
        for policy in self.objective.losses(
            run.generator, features, real=batch.captions.to(run.device), max_length=run.max_length, rng=run.rng,
            reference=self.reference, progress=index / self.steps,
        ):  # fmt: skip
            metrics |= self._update(policy, features, batch)
        metrics |= self._train_discriminator()
        self._warnings = self.diagnostics.follow(metrics)
        return metrics

    def warnings(self) -> list[str]:
        """Return the ailments that the last step showed first."""
        return self._warnings

    def is_better(self, metrics: dict[str, float], best: dict[str, float]) -> bool:
        """Tell whether the policy is healthy: the latest healthy one is kept, not the one that scores highest."""
        del best
        name = self.quality.name
        reference = self.run.selected.get(self.pretraining, {}).get(name)
        good = reference is None or self.quality.keeps(metrics[name], share=self.quality_floor, reference=reference)
        return good and self.diagnostics.entropy_share() >= self.entropy_floor

    def _update(self, policy: PolicyLoss, features: ImageFeatures, batch: Batch) -> dict[str, float]:
        """Do one gradient step of the generator."""
        run = self.run
        loss, metrics = policy.loss, policy.metrics
        if self.likelihood is not None:
            likelihood = self.likelihood.loss(run.generator, features, batch.captions.to(run.device), run.rng)
            loss = loss + self.likelihood_weight * likelihood
            metrics["policy/mle_loss"] = likelihood.item()
        metrics["policy/loss"] = loss.item()
        metrics["policy/gradient_norm"] = descend(self.optimizer, loss, run.generator, clip=self.clip)
        return metrics

    def _train_discriminator(self) -> dict[str, float]:
        metrics: dict[str, float] = {}
        if self.trainer is None:
            return metrics
        updates = 0
        for _ in range(self.discriminator_steps):
            if self.trainer.accuracy > self.accuracy_ceiling:
                metrics |= self.trainer.observe()
            else:
                metrics |= self.trainer.step()
                updates += 1
        return {**metrics, "discriminator/updates": float(updates)}

    def state_dict(self) -> dict[str, Any]:
        """Return optimizers, baseline, discriminator trainer and the entropy's course."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "objective": self.objective.state_dict(),
            "trainer": None if self.trainer is None else self.trainer.state_dict(),
            "diagnostics": self.diagnostics.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.objective.load_state_dict(state["objective"])
        if self.trainer is not None:
            self.trainer.load_state_dict(state["trainer"])
        self.diagnostics.load_state_dict(state["diagnostics"])
