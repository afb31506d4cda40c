"""Five known ways in which an adversarial run fails, recognised from the logged numbers, a line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gan_caption.errors import at_least, share

_WATCHED = ("policy/entropy", "policy/length", "reward/mean", "reward/std", "discriminator/accuracy")
_LATEST = "discriminator_auc"


@dataclass(kw_only=True)
class Diagnostics:
    """Follows the averages of a phase's numbers and warns when one leaves the healthy range, once each time it does."""

    strongest: float
    """The highest healthy accuracy of D over real and generated captions."""
    least_knowledge: float
    """The lowest healthy area under D's curve (AUC) on images that it has not seen; .5 is chance."""
    least_entropy: float
    """The lowest healthy entropy, as a share of its first value."""
    least_spread: float
    """The lowest healthy standard deviation of the rewards, as a share of their mean's size."""
    shortest: float
    """The lowest healthy length of samples, as a share of its first value."""
    decay: float
    """Of the moving averages, in [0, 1)."""

    first: dict[str, float] = field(init=False, default_factory=dict)
    averages: dict[str, float] = field(init=False, default_factory=dict)
    raised: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        share(least_knowledge=self.least_knowledge)
        at_least(0, strongest=self.strongest, least_entropy=self.least_entropy)
        at_least(0, least_spread=self.least_spread, shortest=self.shortest)
        share(decay=self.decay)

    def follow(self, metrics: Mapping[str, float]) -> list[str]:
        """Take in the numbers of a step, and return the warnings that are new."""
        for name in _WATCHED:
            if name in metrics:
                self.first.setdefault(name, metrics[name])
                before = self.averages.get(name, metrics[name])
                self.averages[name] = self.decay * before + (1 - self.decay) * metrics[name]
        if _LATEST in metrics:  # of a validation; there are few, and each is of many captions
            self.averages[_LATEST] = metrics[_LATEST]
        now = self._ailments()
        new = [line for name, line in now.items() if name not in self.raised]
        self.raised = list(now)
        return new

    def entropy_share(self) -> float:
        """Return the policy's entropy as a share of its first value; 1 before there is one."""
        first = self.first.get("policy/entropy", 0.0)
        return self.averages["policy/entropy"] / first if first else 1.0

    def _ailments(self) -> dict[str, str]:
        found: dict[str, str] = {}
        average, first = self.averages, self.first
        accuracy = average.get("discriminator/accuracy", 0.0)
        if accuracy > self.strongest:
            found["strong"] = (
                f"D is right about {accuracy:.0%} of the captions: its judgement hardly tells one sample from another. "
                "Lower discriminator_training.learning_rate or discriminator_training.steps_per_update"
            )
        if average.get(_LATEST, 1.0) < self.least_knowledge:
            found["chance"] = (
                f"D hardly knows more than chance: on unseen images its AUC is {average[_LATEST]:.3f} (.5 knows "
                "nothing), and its rewards are mostly noise. Train it longer (discriminator_training.steps and "
                "steps_per_update), or give it more to see"
            )
        if self.entropy_share() < self.least_entropy:
            nats = f"{first['policy/entropy']:.2f} to {average['policy/entropy']:.2f} nats a token"
            found["entropy"] = (
                f"the policy's entropy fell from {nats}: it says less and less. Raise likelihood_weight or "
                "objective.entropy_weight of this phase, or lower its learning_rate"
            )
        if "reward/std" in average and average["reward/std"] <= self.least_spread * abs(average["reward/mean"]):
            told = f"{average['reward/mean']:.3g} with a spread of {average['reward/std']:.2g}"
            found["spread"] = (
                f"all samples have the same reward ({told}): there is nothing to learn from. Weaken D, or take another "
                "reward or transform"
            )
        if "policy/length" in average and average["policy/length"] < self.shortest * first["policy/length"]:
            tokens = f"{first['policy/length']:.1f} to {average['policy/length']:.1f} tokens"
            found["short"] = (
                f"samples shrank from {tokens}: the reward may favour short captions. Mix in a reward that does not, "
                "or raise likelihood_weight"
            )
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the averages."""
        return {"first": dict(self.first), "averages": dict(self.averages), "raised": list(self.raised)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.first, self.averages = dict(state["first"]), dict(state["averages"])
        self.raised = list(state["raised"])
