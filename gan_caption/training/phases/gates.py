"""How much the discriminator learns after each step of the generator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from gan_caption.errors import above, at_least, share
from gan_caption.training.phases.discriminator import DiscriminatorTrainer, Negatives


class Gate(ABC):
    """Decides how often D learns before the generator has its next step."""

    @abstractmethod
    def respond(self, trainer: DiscriminatorTrainer, negatives: Negatives) -> dict[str, float]:
        """Let D answer a step of the generator.

        Args:
            trainer: does D's steps.
            negatives: what D is given of the generator.

        Returns:
            numbers to log, "discriminator/updates" among them.
        """


@dataclass(frozen=True, kw_only=True)
class NoGate(Gate):
    """D learns, however good it is."""

    steps: int
    """Of D for each of the generator, at least 0."""

    def __post_init__(self) -> None:
        at_least(0, steps=self.steps)

    def respond(self, trainer: DiscriminatorTrainer, negatives: Negatives) -> dict[str, float]:
        """Do all steps; see `Gate.respond`."""
        metrics: dict[str, float] = {}
        for _ in range(self.steps):
            metrics |= trainer.step(negatives)
        return {**metrics, "discriminator/updates": float(self.steps)}


@dataclass(frozen=True, kw_only=True)
class Ceiling(Gate):
    """D rests while it is right too often: a D that is always right rewards every sample alike."""

    steps: int
    """Of D for each of the generator, at least 0."""
    accuracy: float
    """While D's moving accuracy is above this, in [0, 1], D is observed and not updated."""

    def __post_init__(self) -> None:
        at_least(0, steps=self.steps)
        if not 0 <= self.accuracy <= 1:
            raise ValueError(f"accuracy={self.accuracy}: a share, at least 0 and at most 1, with which D never rests")

    def respond(self, trainer: DiscriminatorTrainer, negatives: Negatives) -> dict[str, float]:
        """Learn or look at each step; see `Gate.respond`."""
        metrics: dict[str, float] = {}
        updates = 0
        for _ in range(self.steps):
            if trainer.accuracy > self.accuracy:
                metrics |= trainer.observe(negatives)
            else:
                metrics |= trainer.step(negatives)
                updates += 1
        return {**metrics, "discriminator/updates": float(updates)}


@dataclass(frozen=True, kw_only=True)
class GoodEnough(Gate):
    """D learns until it can teach: it is right often enough, and few enough samples pass for people's.

    It is Shetty et al. 2017's (github.com/rakshithShetty/captionGAN), where D's state is measured on validation images
    every 100 steps; here the moving averages over its own batches are taken.
    """

    accuracy: float
    """D's moving accuracy must be above this, in [0, 1)."""
    fooled: float
    """The moving share of samples that D takes for people's must be below this, above 0."""
    fewest: int
    """Steps of D for each of the generator, also where it is good enough; at least 0."""
    most: int
    """Steps after which the generator goes on against a D that is not."""

    def __post_init__(self) -> None:
        share(accuracy=self.accuracy)
        at_least(0, fewest=self.fewest)
        at_least(self.fewest, most=self.most)
        above(0, fooled=self.fooled)

    def respond(self, trainer: DiscriminatorTrainer, negatives: Negatives) -> dict[str, float]:
        """Learn until D is good enough; see `Gate.respond`."""
        metrics: dict[str, float] = {}
        updates = 0
        while updates < self.fewest or (updates < self.most and not self._passes(trainer)):
            metrics |= trainer.step(negatives)
            updates += 1
        return {**metrics, "discriminator/updates": float(updates)}

    def _passes(self, trainer: DiscriminatorTrainer) -> bool:
        return trainer.accuracy > self.accuracy and trainer.fooled < self.fooled
