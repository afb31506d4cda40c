"""The weight of the policy's entropy: a fixed one, or one that holds the entropy at a set value.

The second is a dual variable, as soft actor-critic has for its temperature (Haarnoja et al. 2018, arXiv 1812.05905,
section 5): the weight rises while the entropy is below its target, and falls while it is above. Here the logarithm of
the weight goes by the distance itself, so that it stays positive and the step does not depend on the reward's scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gan_caption.errors import above, at_least


@dataclass(eq=False)
class FixedEntropy:
    """A weight that stays."""

    weight: float
    """At least 0."""

    def __post_init__(self) -> None:
        at_least(0, entropy_weight=self.weight)

    def follow(self, entropy: float) -> None:
        """Leave the weight."""

    @property
    def metrics(self) -> dict[str, float]:
        """What an update logs of it: nothing."""
        return {}

    def state_dict(self) -> dict[str, float | None]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take back what `state_dict` gave."""


@dataclass(kw_only=True, eq=False)
class HeldEntropy:
    """A weight that follows the policy's entropy."""

    target: float | None
    """Nats a token, at least 0; None: what the policy has when the phase begins."""
    weight: float
    """Of the entropy at first; between `least` and `most`."""
    rate: float
    """How much the weight's logarithm changes in an update, for each nat of distance; above 0."""
    least: float
    """The weight does not fall below it, from where it would take long to come back; above 0."""
    most: float
    """Nor rise above it."""

    goal: float | None = field(init=False)
    """The target, once it is known."""

    def __post_init__(self) -> None:
        if self.target is not None:
            at_least(0, target=self.target)
        above(0, rate=self.rate)
        if not 0 < self.least <= self.weight <= self.most:
            raise ValueError(f"least={self.least}, weight={self.weight}, most={self.most}: above 0, and in this order")
        self.goal = self.target

    def follow(self, entropy: float) -> None:
        """Change the weight after an update.

        Args:
            entropy: the policy's, nats a token, in that update.
        """
        if self.goal is None:
            self.goal = entropy
        moved = self.weight * math.exp(self.rate * (self.goal - entropy))
        self.weight = min(max(moved, self.least), self.most)

    @property
    def metrics(self) -> dict[str, float]:
        """What an update logs of it."""
        return {"policy/entropy_weight": self.weight}

    def state_dict(self) -> dict[str, float | None]:
        """Return the weight and the goal."""
        return {"weight": self.weight, "goal": self.goal}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take back what `state_dict` gave."""
        self.weight, self.goal = state["weight"], state["goal"]
