"""What the phases of a run share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from gan_caption.data.batches import CaptionBatches
from gan_caption.data.features import FeatureSource, ImageFeatures
from gan_caption.data.holdout import Learners
from gan_caption.discriminators.base import Discriminator
from gan_caption.errors import UserError
from gan_caption.generators.base import Generator
from gan_caption.metrics.metric import Metric, choose
from gan_caption.rewards.references import References
from gan_caption.rewards.text_judge import TextJudge
from gan_caption.text.base import Tokenizer
from gan_caption.training.folders import best_weights
from gan_caption.training.networks import EncoderDecoder, Networks
from gan_caption.training.validation import Validator

if TYPE_CHECKING:
    from gan_caption.training.phases.discriminator import DiscriminatorTrainer, Left


@dataclass
class Run:
    """One training run: its data, its networks, and where it writes."""

    folder: Path
    """The run folder; everything the run leaves lies in it."""
    seed: int
    """Of weights, data order, dropout and sampling."""
    device: torch.device
    """Where the networks live."""
    tokenizer: Tokenizer
    """Learned from the training captions."""
    max_length: int
    """The longest caption, in tokens, `<eos>` counted."""
    networks: Networks
    """Captioner and discriminator."""
    source: FeatureSource
    """Features of the training split."""
    encoded: Sequence[Sequence[list[int]]]
    """For every training image its captions as token ids."""
    learners: Learners
    """Who learns from which of the training images."""
    references: References
    """Of the training images, for rewards."""
    evaluator: Validator
    """Of the validation split."""
    rng: torch.Generator
    """CPU generator of everything that training samples, on all ranks."""
    schedule: Sequence[str] = ()
    """The names of all phases, in their order."""
    language_model: TextJudge | None = None
    """What judges captions, where the configuration names one."""
    selected: dict[str, dict[str, float]] = field(default_factory=dict)
    """By phase, the validation of the weights that it left."""
    stopped: dict[str, int] = field(default_factory=dict)
    """By phase whose patience ended, the steps that it made."""
    discriminator_is_taken: bool = False
    """Whether the discriminator has learned in another run."""
    discriminator_trainer: DiscriminatorTrainer | None = None
    """What trains D in the phase under way; None: nothing does."""
    discriminator_left: Left | None = None
    """What the phases before it left of D's training."""
    turn: int = 0
    """How many phases of its class come before the one under way: of all, batches have orders of their own."""
    discriminator_has_learned: bool = False
    """Whether D learns, or has learned, in a phase of this run or of the one that it is taken from."""

    @property
    def captioner(self) -> EncoderDecoder:
        """The captioner."""
        return self.networks.captioner

    @property
    def generator(self) -> Generator:
        """The policy."""
        return self.networks.captioner.generator

    @property
    def discriminator(self) -> Discriminator:
        """The discriminator.

        Raises:
            UserError: this run has none.
        """
        if self.networks.discriminator is None:
            raise UserError("this phase needs a discriminator, and the run has none: add discriminator=lstm, say")
        return self.networks.discriminator

    def left_of_discriminator(self) -> Left | None:
        """Return what has been left of D's training so far; None where D has not learned in this run."""
        trainer = self.discriminator_trainer
        return self.discriminator_left if trainer is None else trainer.left()

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints and weights."""
        return self.folder / "checkpoints"

    def best_weights(self, phase: str) -> Path:
        """Where a phase's best captioner is kept."""
        return best_weights(self.folder, phase)

    def left_by(self, phase: str) -> str:
        """Return the phase whose weights the captioner had when this one ended: an earlier one, where it left none."""
        if phase not in self.schedule:
            return phase if phase in self.selected or not self.selected else list(self.selected)[-1]
        until = self.schedule[: self.schedule.index(phase) + 1]
        return next((one for one in reversed(until) if one in self.selected), phase)

    def metric(self, name: str, *, asked: str) -> Metric:
        """Return a metric that validation measures and of which more or less is better.

        Args:
            name: the metric's.
            asked: the setting that names it.

        Raises:
            ValueError: there is no such metric.
        """
        try:
            return choose(self.evaluator.metrics, name)
        except ValueError as error:
            raise ValueError(f"{asked}={error}") from error

    def batches(
        self, captions: Sequence[Sequence[list[int]]], *, images: int, per_image: int, stream: int,
        rows: np.ndarray | None = None,
    ) -> CaptionBatches:  # fmt: skip
        """Return batches of training images whose order differs from stream to stream, and from turn to turn.

        Args:
            captions: of all training images, as token ids.
            images: B.
            per_image: K captions of each.
            stream: of the order, below 10.
            rows: of the images, ascending; None: those that the generator learns from.
        """
        return CaptionBatches(
            captions, images=images, captions_per_image=per_image, seed=self.seed * 1000 + 10 * self.turn + stream,
            rows=self.learners.generator if rows is None else rows, shuffle=self.source.split.shuffled,
        )  # fmt: skip

    def features(self, rows: list[int], *, grid: bool) -> ImageFeatures:
        """Return the features of training images, and whose they are."""
        features = self.source.features(rows, grid=grid, device=self.device)
        return replace(features, rows=torch.tensor(rows, dtype=torch.long, device=self.device))
