"""Adversarial training: the generator by its objective, the discriminator in turn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from gan_caption.training.phases.discriminator import DiscriminatorTrainer
from gan_caption.training.phases.gates import Gate
from gan_caption.training.phases.policy_gradient import PolicyGradientPhase
from gan_caption.training.run import Run


@dataclass(kw_only=True, eq=False)
class AdversarialPhase(PolicyGradientPhase):
    """One step: a generator update, then the discriminator's updates behind a gate."""

    trainer: DiscriminatorTrainer
    """One step of D."""
    gate: Gate
    """How many of them follow each step of the generator."""

    def begin(self, run: Run) -> None:
        """Make the optimizers, the batches and the frozen copy of the pretrained policy."""
        super().begin(run)
        self.trainer.begin(run, stream=3)

    def rehearse(self, run: Run) -> None:
        """Try out a loss of the generator, and look whether D has captions to learn from; see `Phase.rehearse`."""
        super().rehearse(run)
        self.trainer.rehearse(run)

    def _respond(self, progress: float) -> dict[str, float]:
        return self.gate.respond(self.trainer, partial(self.objective.negatives, progress=progress))

    def state_dict(self) -> dict[str, Any]:
        """Return optimizers, objective, discriminator trainer and the entropy's course."""
        return {**super().state_dict(), "trainer": self.trainer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        self.trainer.load_state_dict(state["trainer"])
