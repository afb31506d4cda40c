"""The weight of the policy's entropy: a fixed one, or one that holds the entropy at a set value.

The second is a dual variable, as soft actor-critic has for its temperature (Haarnoja et al. 2018, arXiv 1812.05905,
section 5): the weight rises while the entropy is below its target, and falls while it is above. Here the logarithm of
the weight goes by the distance itself, so that it stays positive and the step does not depend on the reward's scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from gan_caption.errors import above, at_least

FIRST = 20
"""Updates by which the entropy is measured that a policy has when the phase begins."""


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
    """Nats a token, at least 0; None: what the policy has when the phase begins, the mean of its first updates."""
    weight: float
    """Of the entropy at first, until there is a target; between `least` and `most`."""
    rate: float
    """How much the weight's logarithm changes in an update, for each nat of distance; above 0."""
    least: float
    """The weight does not fall below it, from where it would take long to come back; above 0."""
    most: float
    """Nor rise above it."""

    goal: float | None = field(init=False)
    """The target, once it is known."""
    seen: list[float] = field(init=False, default_factory=list)
    """Entropies of the first updates, as long as it is not: a single batch's would hold each seed at another level."""

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
            self.seen.append(entropy)
            if len(self.seen) < FIRST:
                return
            self.goal = fmean(self.seen)
        moved = self.weight * math.exp(self.rate * (self.goal - entropy))
        self.weight = min(max(moved, self.least), self.most)

    @property
    def metrics(self) -> dict[str, float]:
        """What an update logs of it."""
        known = {} if self.goal is None else {"policy/entropy_target": self.goal}
        return {"policy/entropy_weight": self.weight, **known}

    def state_dict(self) -> dict[str, Any]:
        """Return the weight, and the goal or what it is being made of."""
        return {"weight": self.weight, "goal": self.goal, "seen": list(self.seen)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.weight, self.goal = state["weight"], state["goal"]
        self.seen = state.get("seen", [])  # older checkpoints do not have it
