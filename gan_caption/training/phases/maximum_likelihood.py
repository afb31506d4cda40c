"""Pretraining by maximum likelihood: what it leaves IS the baseline of every adversarial method."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from gan_caption.data.batches import Batch, CaptionBatches
from gan_caption.distributed import world
from gan_caption.errors import above, at_least, share
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood
from gan_caption.training.averaging import moving_average
from gan_caption.training.learning_rates import LearningRate
from gan_caption.training.networks import EncoderDecoder, weights_of
from gan_caption.training.optimizers import Group, Optimizer, set_learning_rates
from gan_caption.training.phases.base import Phase, Precision, autocast, descend, generator_groups
from gan_caption.training.run import Run


@dataclass(kw_only=True, eq=False)
class MaximumLikelihoodPhase(Phase):
    """Teacher forcing over the training captions; the encoder learns here where it learns, and from words before."""

    validate_every = 1  # at least once; `begin` knows how often
    objective: MaximumLikelihood
    """The loss."""
    epochs: int
    """Passes over the training images."""
    images_per_batch: int
    """B, those of all processes together."""
    captions_per_image: int
    """K captions of each image in a batch."""
    accumulation: int
    """Parts in which a process goes through its share of a batch, for batches that do not fit into memory. Their
    gradients add up to the whole's; what looks at several images at once, or draws random numbers, sees a part."""
    optimizer: Optimizer
    """Of the generator, and of the encoder where it learns."""
    learning_rate: float
    """At its highest."""
    encoder_learning_rate: float | None
    """That of what came pretrained, where it learns: the encoder, a tuned language model; None for the same."""
    learning_rate_schedule: LearningRate
    """How both move over the phase."""
    averaging: float
    """Decay in [0, 1) of the exponential moving average of the weights, which is what validation looks at and what is
    kept; 0 keeps the last weights."""
    clip: float
    """Largest gradient norm."""
    precision: Precision
    """Of the networks; "bfloat16" on devices made for it."""
    validations_per_epoch: int
    """How often the validation images are decoded."""
    selected_by: str
    """The validation metric that chooses the weights: "cider_d" of decoded captions; "nll_per_token" of the references,
    where decoded captions mean little; any other by its name, one's own too; "last" keeps the last weights."""
    patience: int = field()  # the contract's 0 is no default here
    """Validations without a better one before stopping; 0 runs all epochs."""

    run: Run = field(init=False, repr=False)
    captioner: EncoderDecoder = field(init=False, repr=False)
    batches: CaptionBatches = field(init=False, repr=False)
    updater: torch.optim.Optimizer = field(init=False, repr=False)
    average: AveragedModel = field(init=False, repr=False)

    def __post_init__(self) -> None:
        at_least(1, epochs=self.epochs, images_per_batch=self.images_per_batch, accumulation=self.accumulation)
        at_least(1, captions_per_image=self.captions_per_image, validations_per_epoch=self.validations_per_epoch)
        at_least(0, learning_rate=self.learning_rate, encoder_learning_rate=self.encoder_learning_rate)
        at_least(0, patience=self.patience)
        if self.patience and self.selected_by == "last":
            raise ValueError(
                f"patience={self.patience}: selected_by=last calls every validation the best; name a metric"
            )
        above(0, clip=self.clip)
        share(averaging=self.averaging)

    def rehearse(self, run: Run) -> None:
        """Look up the metric that chooses the weights, and what has a rate of its own; see `Phase.rehearse`.

        Raises:
            ValueError: there is no such metric, or nothing that came pretrained learns here.
        """
        if self.encoder_learning_rate is not None and not _pretrained(run.captioner):
            raise ValueError(
                f"encoder_learning_rate={self.encoder_learning_rate}: no encoder learns here, nor does the generator "
                "hold anything pretrained: leave it out, or give encoder.finetune=true, say"
            )
        if self.selected_by != "last":
            run.metric(self.selected_by, asked="selected_by")

    def begin(self, run: Run) -> None:
        """Make the optimizer, the batches and the running average."""
        self.run = run
        self.selector = None if self.selected_by == "last" else run.metric(self.selected_by, asked="selected_by")
        self.captioner = run.captioner
        self.batches = run.batches(
            run.encoded, images=self.images_per_batch, per_image=self.captions_per_image, stream=0
        )
        self.validate_every = max(len(self.batches) // self.validations_per_epoch, 1)
        self.updater = self.optimizer(self._groups())
        self.average = moving_average(self.captioner, self.averaging)

    @property
    def total(self) -> int:
        """All epochs' batches."""
        return self.epochs * len(self.batches)

    def step(self, index: int) -> dict[str, float]:
        """Do one gradient step on a batch."""
        self.captioner.train()
        set_learning_rates(self.updater, self.learning_rate_schedule, step=index, total=self.total)
        losses = self._losses(self.batches.at(index))
        descent = descend(self.updater, losses, self.captioner, clip=self.clip)
        self.average.update_parameters(self.captioner)
        return {
            "mle/loss": descent.loss,
            "mle/gradient_norm": descent.gradient_norm,
            "mle/learning_rate": self.updater.param_groups[0]["lr"],
            "epoch": (index + 1) / len(self.batches),
        }

    def _groups(self) -> list[Group]:
        """Return what learns, by how fast it does."""
        encoder = self.captioner.encoder
        slower = self.learning_rate if self.encoder_learning_rate is None else self.encoder_learning_rate
        groups = generator_groups(self.run.generator, self.learning_rate, pretrained=slower)
        return groups + ([] if encoder is None else [Group(encoder.parameters(), slower)])

    def _losses(self, batch: Batch) -> Iterator[Tensor]:
        """Yield the losses of a batch's parts, weighted by their tokens: their sum is the batch's loss."""
        if self.accumulation == 1:
            yield self._loss(batch)
            return
        parts = batch.parts(self.accumulation)
        tokens = [self.objective.targets(self.run.generator, part.captions) for part in parts]
        of_all = world.gather(torch.tensor([tokens], dtype=torch.float64)).sum(0)
        for part, weight in zip(parts, (of_all / of_all.sum()).tolist(), strict=True):
            if weight:  # not where no process has an image
                yield weight * self._loss(part)

    def _loss(self, batch: Batch) -> Tensor:
        generator, device = self.run.generator, self.run.device
        with autocast(device, self.precision):
            features = self.run.features(batch.rows, grid=generator.uses_grid)
            return self.objective.loss(generator, features, batch.captions.to(device), self.run.rng)

    def weights(self) -> AbstractContextManager[None]:
        """Lend the captioner its averaged weights."""
        return weights_of(self.captioner, self.average.module)

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer and the average."""
        return {"optimizer": self.updater.state_dict(), "average": self.average.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.updater.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])


def _pretrained(captioner: EncoderDecoder) -> bool:
    """Tell whether something learns that has a rate of its own: an encoder, or a tuned language model."""
    return captioner.encoder is not None or bool(captioner.generator.pretrained_parameters())
