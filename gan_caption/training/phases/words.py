"""Pretraining of an encoder that learns: which words do people use of this image?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.data.captions import EOS
from gan_caption.distributed import world
from gan_caption.errors import at_least
from gan_caption.training.phases.base import Phase, adamw, descend
from gan_caption.training.run import Run


class WordsPhase(Phase):
    """Predict from the image vector which words occur in any of the image's captions.

    The multi-label word detection of Fang et al. 2015 (arXiv 1411.4952, section 3), here as a start for a CNN without
    published weights: through the words of one caption at a time, an LSTM teaches such a CNN slowly.
    """

    def __init__(self, *, steps: int = 400, images_per_batch: int = 32, learning_rate: float = 2e-3) -> None:
        """Set the phase.

        Args:
            steps: gradient steps.
            images_per_batch: B, those of all processes together.
            learning_rate: of AdamW.
        """
        at_least(1, steps=steps, images_per_batch=images_per_batch)
        at_least(0, learning_rate=learning_rate)
        self.steps = steps
        self.images_per_batch = images_per_batch
        self.learning_rate = learning_rate

    def begin(self, run: Run) -> None:
        """Make the detector, the optimizer and the batches."""
        self.run = run
        self.encoder = run.captioner.encoder
        size = 1 if self.encoder is None else self.encoder.pooled_size
        words = len(run.vocabulary)
        with torch.random.fork_rng(devices=[]):  # drawing its weights must not shift the run's random numbers
            torch.manual_seed(run.seed)
            self.detector = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, words)).to(run.device)
        self.both = nn.ModuleList([self.detector] if self.encoder is None else [self.encoder, self.detector])
        self.optimizer = adamw(self.both.parameters(), learning_rate=self.learning_rate)
        self.batches = run.batches(run.encoded, images=self.images_per_batch, per_image=1, stream=4)

    @property
    def total(self) -> int:
        """Gradient steps; none where the encoder is frozen, since there is nothing to learn."""
        return 0 if self.encoder is None else self.steps

    def step(self, index: int) -> dict[str, float]:
        """Do one gradient step on a batch of images."""
        self.both.train()
        rows = self.batches.at(index).rows
        features = self.run.features(rows, grid=False)
        logits, occurs = self.detector(features.pooled)[:, EOS + 1 :], self._words_of(rows)[:, EOS + 1 :]
        loss = world.mean(functional.binary_cross_entropy_with_logits(logits, occurs), len(rows))
        return {"words/loss": loss.item(), "words/gradient_norm": descend(self.optimizer, loss, self.both, clip=5.0)}

    def _words_of(self, rows: list[int]) -> Tensor:
        """Return (B, V): 1 where a word occurs in a caption of the image."""
        occurs = torch.zeros(len(rows), len(self.run.vocabulary))
        for place, row in enumerate(rows):
            for caption in self.run.encoded[row]:
                occurs[place, caption] = 1
        return occurs.to(self.run.device)

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer and the detector."""
        return {"optimizer": self.optimizer.state_dict(), "detector": self.detector.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.detector.load_state_dict(state["detector"])
