"""Adversarial training: the generator by its objective, the discriminator in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gan_caption.errors import at_least
from gan_caption.training.phases.discriminator import DiscriminatorTrainer
from gan_caption.training.phases.policy_gradient import PolicyGradientPhase
from gan_caption.training.run import Run


@dataclass(kw_only=True, eq=False)
class AdversarialPhase(PolicyGradientPhase):
    """One step: a generator update, then the discriminator's updates behind an accuracy gate."""

    trainer: DiscriminatorTrainer
    """One step of D."""
    discriminator_steps: int
    """D's updates after each step of the generator."""
    accuracy_ceiling: float
    """While D's moving accuracy is above this, D is observed and not updated."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, discriminator_steps=self.discriminator_steps)

    def begin(self, run: Run) -> None:
        """Make the optimizers, the batches and the frozen copy of the pretrained policy."""
        super().begin(run)
        self.trainer.begin(run, stream=3)

    def rehearse(self, run: Run) -> None:
        """Try out a loss of the generator, and look whether D has captions to learn from; see `Phase.rehearse`."""
        super().rehearse(run)
        self.trainer.rehearse(run)

    def _respond(self) -> dict[str, float]:
        metrics: dict[str, float] = {}
        updates = 0
        for _ in range(self.discriminator_steps):
            if self.trainer.accuracy > self.accuracy_ceiling:
                metrics |= self.trainer.observe()
            else:
                metrics |= self.trainer.step()
                updates += 1
        return {**metrics, "discriminator/updates": float(updates)}

    def state_dict(self) -> dict[str, Any]:
        """Return optimizers, objective, discriminator trainer and the entropy's course."""
        return {**super().state_dict(), "trainer": self.trainer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        self.trainer.load_state_dict(state["trainer"])
