"""Pretraining by maximum likelihood: what it leaves IS the baseline of every adversarial method."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from gan_caption.errors import at_least, share
from gan_caption.metrics.standard import STANDARD
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood
from gan_caption.training.networks import EncoderDecoder, weights_of
from gan_caption.training.phases.base import Phase, adamw, descend
from gan_caption.training.run import Run


class MaximumLikelihoodPhase(Phase):
    """Teacher forcing over the training captions; the encoder learns here where it learns at all."""

    def __init__(
        self,
        *,
        objective: MaximumLikelihood,
        epochs: int = 20,
        images_per_batch: int = 20,
        captions_per_image: int = 5,
        learning_rate: float = 5e-4,
        encoder_learning_rate: float | None = None,
        final_learning_rate: float = 0.05,
        warmup_steps: int = 100,
        weight_decay: float = 0.0,
        averaging: float = 0.999,
        clip: float = 5.0,
        validations_per_epoch: int = 1,
        selected_by: str = "cider_d",
        patience: int = 0,
    ) -> None:
        """Set the phase.

        Args:
            objective: the loss.
            epochs: passes over the training images.
            images_per_batch: B, those of all processes together.
            captions_per_image: K captions of each image in a batch.
            learning_rate: of AdamW, at its highest.
            encoder_learning_rate: the encoder's, where it learns; None for the same.
            final_learning_rate: the share of the learning rate left at the end of a cosine.
            warmup_steps: linear warm-up.
            weight_decay: of AdamW.
            averaging: decay in [0, 1) of the exponential moving average of the weights, which is what validation
                looks at and what is kept; 0 keeps the last weights.
            clip: largest gradient norm.
            validations_per_epoch: how often to decode the validation images.
            selected_by: the validation metric that chooses the weights: "cider_d" of decoded captions; "nll_per_token"
                of the references, where decoded captions mean little; any other by its name, one's own too; "last"
                keeps the last weights.
            patience: validations without a better one before stopping; 0 runs all epochs.
        """
        at_least(1, epochs=epochs, images_per_batch=images_per_batch, captions_per_image=captions_per_image)
        at_least(1, validations_per_epoch=validations_per_epoch)
        at_least(0, learning_rate=learning_rate, encoder_learning_rate=encoder_learning_rate, weight_decay=weight_decay)
        at_least(0, warmup_steps=warmup_steps, patience=patience, clip=clip)
        share(averaging=averaging)
        self.objective = objective
        self.epochs = epochs
        self.images_per_batch = images_per_batch
        self.captions_per_image = captions_per_image
        self.learning_rate = learning_rate
        self.encoder_learning_rate = learning_rate if encoder_learning_rate is None else encoder_learning_rate
        self.final_learning_rate = final_learning_rate
        self.warmup_steps = warmup_steps
        self.weight_decay = weight_decay
        self.averaging = averaging
        self.clip = clip
        self.validations_per_epoch = validations_per_epoch
        self.selected_by = selected_by
        self.selector = STANDARD.get(selected_by)  # one's own is known when the run is
        self.patience = patience

    def rehearse(self, run: Run) -> None:
        """Look up the metric that chooses the weights; see `Phase.rehearse`."""
        if self.selected_by != "last":
            run.metric(self.selected_by, asked="selected_by")

    def begin(self, run: Run) -> None:
        """Make the optimizer, the batches and the running average."""
        self.run = run
        self.selector = None if self.selected_by == "last" else run.metric(self.selected_by, asked="selected_by")
        self.captioner: EncoderDecoder = run.captioner
        self.batches = run.batches(
            run.encoded, images=self.images_per_batch, per_image=self.captions_per_image, stream=0
        )
        self.validate_every = max(len(self.batches) // self.validations_per_epoch, 1)
        groups = [{"params": list(run.generator.parameters()), "peak": self.learning_rate}]
        if self.captioner.encoder is not None:
            parameters = [p for p in self.captioner.encoder.parameters() if p.requires_grad]
            groups.append({"params": parameters, "peak": self.encoder_learning_rate})
        self.optimizer = adamw(groups, learning_rate=self.learning_rate, weight_decay=self.weight_decay)
        self.average = AveragedModel(self.captioner, avg_fn=self._average, use_buffers=True)

    @property
    def total(self) -> int:
        """All epochs' batches."""
        return self.epochs * len(self.batches)

    def step(self, index: int) -> dict[str, float]:
        """Do one gradient step on a batch."""
        self.captioner.train()
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * self._rate(index)
        batch = self.batches.at(index)
        captions = batch.captions.to(self.run.device)
        features = self.run.features(batch.rows, grid=self.run.generator.uses_grid)
        loss = self.objective.loss(self.run.generator, features, captions, self.run.rng)
        norm = descend(self.optimizer, loss, self.captioner, clip=self.clip)
        self.average.update_parameters(self.captioner)
        return {
            "mle/loss": loss.item(),
            "mle/gradient_norm": norm,
            "mle/learning_rate": self.optimizer.param_groups[0]["lr"],
            "epoch": (index + 1) / len(self.batches),
        }

    def weights(self) -> AbstractContextManager[None]:
        """Lend the captioner its averaged weights."""
        return weights_of(self.captioner, self.average.module)

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer and the average."""
        return {"optimizer": self.optimizer.state_dict(), "average": self.average.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])

    def _average(self, average: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        """Move the average; at first it forgets faster, so that the first weights do not linger in it."""
        updates = int(updates)
        return torch.lerp(average, current, 1 - min(self.averaging, (1 + updates) / (10 + updates)))

    def _rate(self, index: int) -> float:
        """Return the share of the peak learning rate at a step: linear warm-up, then a cosine."""
        warm = min((index + 1) / max(self.warmup_steps, 1), 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * index / self.total))
        return warm * (self.final_learning_rate + (1 - self.final_learning_rate) * cosine)
