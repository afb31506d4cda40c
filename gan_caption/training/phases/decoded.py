"""A phase in which nothing learns: what is there is decoded in another way."""

from __future__ import annotations

from dataclasses import dataclass

from gan_caption.decoding.decoders import Decoder
from gan_caption.training.phases.base import Phase
from gan_caption.training.run import Run


@dataclass(kw_only=True, eq=False)
class DecodedPhase(Phase):
    """Leaves the weights as they are, under its name: a system whose captions come about by its own decoder.

    So the policy by itself, and the same with a discriminator that chooses among its samples, are two rows of a table.
    """

    decoding: Decoder
    """How captions are written, and samples drawn, where it reweighs them; whoever evaluates these weights uses it."""

    validate_every = 1
    selector = None

    def begin(self, run: Run) -> None:
        """Do nothing; see `Phase.begin`."""

    @property
    def total(self) -> int:
        """One step, in which nothing happens."""
        return 1

    def step(self, index: int) -> dict[str, float]:
        """Do nothing; see `Phase.step`."""
        del index
        return {}
