"""Pretraining of an encoder that learns: which words do people use of this image?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.data.batches import CaptionBatches
from gan_caption.data.captions import EOS
from gan_caption.distributed import world
from gan_caption.encoders.base import Encoder
from gan_caption.errors import above, at_least
from gan_caption.modes import forked_random
from gan_caption.training.learning_rates import LearningRate
from gan_caption.training.optimizers import Group, Optimizer, set_learning_rates
from gan_caption.training.phases.base import Phase, Precision, autocast, descend
from gan_caption.training.run import Run


@dataclass(kw_only=True, eq=False)
class WordsPhase(Phase):
    """Predict from the image vector which words occur in any of the image's captions.

    The multi-label word detection of Fang et al. 2015 (arXiv 1411.4952, section 3), here as a start for a CNN without
    published weights: through the words of one caption at a time, an LSTM teaches such a CNN slowly.
    """

    steps: int
    """Gradient steps."""
    images_per_batch: int
    """B, those of all processes together."""
    optimizer: Optimizer
    """Of the encoder, and of the detector, which only this phase needs."""
    learning_rate: float
    """At its highest."""
    learning_rate_schedule: LearningRate
    """How it moves over the phase."""
    clip: float
    """Largest gradient norm."""
    precision: Precision
    """Of the networks; "bfloat16" on devices made for it."""

    run: Run = field(init=False, repr=False)
    encoder: Encoder | None = field(init=False, repr=False)
    detector: nn.Sequential = field(init=False, repr=False)
    both: nn.ModuleList = field(init=False, repr=False)
    updater: torch.optim.Optimizer = field(init=False, repr=False)
    batches: CaptionBatches = field(init=False, repr=False)

    def __post_init__(self) -> None:
        at_least(1, steps=self.steps, images_per_batch=self.images_per_batch)
        at_least(0, learning_rate=self.learning_rate)
        above(0, clip=self.clip)

    def begin(self, run: Run) -> None:
        """Make the detector, the optimizer and the batches."""
        self.run = run
        self.encoder = run.captioner.encoder
        size = 1 if self.encoder is None else self.encoder.pooled_size
        words = len(run.tokenizer)
        with forked_random(run.device):  # drawing its weights must not shift the run's random numbers
            torch.manual_seed(run.seed)
            self.detector = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, words)).to(run.device)
        self.both = nn.ModuleList([self.detector] if self.encoder is None else [self.encoder, self.detector])
        self.updater = self.optimizer([Group(self.both.parameters(), self.learning_rate)])
        self.batches = run.batches(run.encoded, images=self.images_per_batch, per_image=1, stream=4)

    @property
    def total(self) -> int:
        """Gradient steps; none where the encoder is frozen, since there is nothing to learn."""
        return 0 if self.encoder is None else self.steps

    def step(self, index: int) -> dict[str, float]:
        """Do one gradient step on a batch of images."""
        self.both.train()
        rows = self.batches.at(index).rows
        set_learning_rates(self.updater, self.learning_rate_schedule, step=index, total=self.total)
        with autocast(self.run.device, self.precision):
            logits = self.detector(self.run.features(rows, grid=False).pooled)[:, EOS + 1 :]
            occurs = self._words_of(rows)[:, EOS + 1 :]
            loss = world.mean(functional.binary_cross_entropy_with_logits(logits, occurs), len(rows))
        descent = descend(self.updater, [loss], self.both, clip=self.clip)
        return {"words/loss": descent.loss, "words/gradient_norm": descent.gradient_norm}

    def _words_of(self, rows: list[int]) -> Tensor:
        """Return (B, V): 1 where a word occurs in a caption of the image."""
        occurs = torch.zeros(len(rows), len(self.run.tokenizer))
        for place, row in enumerate(rows):
            for caption in self.run.encoded[row]:
                occurs[place, caption] = 1
        return occurs.to(self.run.device)

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer and the detector."""
        return {"optimizer": self.updater.state_dict(), "detector": self.detector.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.updater.load_state_dict(state["optimizer"])
        self.detector.load_state_dict(state["detector"])
