"""Pretraining of the discriminator against the fixed generator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch

from gan_caption.data.batches import without_unknown
from gan_caption.discriminators.warm_start import shared_weights, take_from_generator
from gan_caption.errors import at_least
from gan_caption.objectives.discriminator import DiscriminatorLoss, Judged
from gan_caption.objectives.samples import collect
from gan_caption.training.phases.base import Phase, adamw, descend
from gan_caption.training.run import Run


class DiscriminatorTrainer:
    """One step of D: real captions, samples of the policy for the same images, captions of other images."""

    def __init__(
        self,
        *,
        objective: DiscriminatorLoss,
        images_per_batch: int = 64,
        captions_per_image: int = 1,
        learning_rate: float = 1e-4,
        weight_decay: float = 0.0,
        clip: float = 5.0,
    ) -> None:
        """Set the step.

        Args:
            objective: the loss.
            images_per_batch: B, those of all processes together.
            captions_per_image: K real captions and as many samples of each; above 1 for critics of whole sets.
            learning_rate: of AdamW.
            weight_decay: of AdamW.
            clip: largest gradient norm.
        """
        if images_per_batch < 2:
            raise ValueError(f"images_per_batch={images_per_batch}: at least 2, mismatched pairs need another image")
        at_least(1, captions_per_image=captions_per_image)
        at_least(0, learning_rate=learning_rate, weight_decay=weight_decay, clip=clip)
        self.objective = objective
        self.images_per_batch = images_per_batch
        self.captions_per_image = captions_per_image
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip = clip
        self.steps = 0
        self.accuracy = 0.5
        """Moving average of the mean accuracy over real and generated captions."""

    def begin(self, run: Run, *, stream: int) -> None:
        """Make the optimizer and the batches, and go on with what the last phase's trainer knew of the same D.

        Args:
            run: whose D learns.
            stream: of the batches; streams differ in their order.
        """
        self.run = run
        self.batches = run.batches(
            without_unknown(run.encoded), images=self.images_per_batch, per_image=self.captions_per_image, stream=stream
        )
        self.optimizer = adamw(
            run.discriminator.parameters(), learning_rate=self.learning_rate, weight_decay=self.weight_decay
        )
        if run.discriminator_trainer is not None:
            self._follow(run.discriminator_trainer)
        run.discriminator_trainer = self

    def _follow(self, before: DiscriminatorTrainer) -> None:
        """Take over the optimizer's moments and the accuracy; the learning rate and the decay are this trainer's."""
        own = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": before.optimizer.state_dict()["state"], "param_groups": own})
        self.accuracy = before.accuracy

    def step(self) -> dict[str, float]:
        """Do one gradient step; the generator is left alone."""
        discriminator = self.run.discriminator.train()
        judged = self._judge()
        norm = descend(self.optimizer, judged.loss, discriminator, clip=self.clip)
        return {**self._report(judged), "discriminator/gradient_norm": norm}

    @torch.no_grad()
    def observe(self) -> dict[str, float]:
        """Judge a batch without learning from it: how a resting D finds out that the generator has caught up."""
        self.run.discriminator.eval()
        return self._report(self._judge())

    def _judge(self) -> Judged:
        run = self.run
        run.captioner.eval()
        batch = self.batches.at(self.steps)
        self.steps += 1
        with torch.no_grad():
            features = run.features(batch.rows, grid=run.generator.uses_grid or run.discriminator.uses_grid)
        rollout = collect(
            run.generator, features, samples=self.captions_per_image, max_length=run.max_length, rng=run.rng
        )
        generated = replace(rollout.captions, images=rollout.samples_of)
        real = batch.captions.to(run.device)
        return self.objective(run.discriminator, features, real=real, generated=generated)

    def _report(self, judged: Judged) -> dict[str, float]:
        recent = (judged.accuracy["real"] + judged.accuracy["generated"]) / 2
        self.accuracy = 0.95 * self.accuracy + 0.05 * recent
        return {
            "discriminator/loss": judged.loss.item(),
            "discriminator/accuracy": self.accuracy,
            **{f"discriminator/accuracy_{kind}": value for kind, value in judged.accuracy.items()},
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer, the position in the data and the accuracy."""
        return {"optimizer": self.optimizer.state_dict(), "steps": self.steps, "accuracy": self.accuracy}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.accuracy = state["steps"], state["accuracy"]


class DiscriminatorPhase(Phase):
    """Train D until it is informative: right often, but not always."""

    def __init__(
        self,
        *,
        trainer: DiscriminatorTrainer,
        steps: int = 200,
        target_accuracy: float = 0.85,
        initial_weights: Literal["random", "generator"] = "random",
    ) -> None:
        """Set the phase.

        Args:
            trainer: one step of D.
            steps: at most.
            target_accuracy: stop once the moving accuracy over real and generated captions reaches it; a D
                that is always right pays every sample the same.
            initial_weights: "generator" begins with the word vectors, and where they fit the recurrent weights, of the
                pretrained generator.
        """
        at_least(1, steps=steps)
        if not 0.5 < target_accuracy <= 1:
            raise ValueError(f"target_accuracy={target_accuracy}: above .5, at most 1")
        self.trainer = trainer
        self.steps = steps
        self.target_accuracy = target_accuracy
        self.initial_weights = initial_weights

    def begin(self, run: Run) -> None:
        """Make the optimizer and the batches."""
        self.run = run
        self.trainer.begin(run, stream=1)

    def rehearse(self, run: Run) -> None:
        """Look whether generator and discriminator share weights, where that is asked for."""
        if self.initial_weights == "generator":
            shared_weights(run.discriminator, run.generator)

    @property
    def total(self) -> int:
        """The most steps."""
        return self.steps

    def step(self, index: int) -> dict[str, float]:
        """Do one gradient step of D."""
        if index == 0 and self.initial_weights == "generator":
            take_from_generator(self.run.discriminator, self.run.generator)
        return self.trainer.step()

    def is_done(self) -> bool:
        """Tell whether D is right often enough."""
        return self.trainer.accuracy >= self.target_accuracy

    def state_dict(self) -> dict[str, Any]:
        """Return the trainer's state."""
        return self.trainer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.trainer.load_state_dict(state)
