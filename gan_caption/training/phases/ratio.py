"""Training of a discriminator that is good for numbers: its logit is log p_data / p_policy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.calibrated import Calibrated, platt
from gan_caption.errors import UserError, at_least, share
from gan_caption.training.averaging import moving_average
from gan_caption.training.phases.base import Phase
from gan_caption.training.phases.discriminator import DiscriminatorTrainer
from gan_caption.training.phases.held_out import HeldOut, measured
from gan_caption.training.run import Run

_SAMPLES = 5
"""Tells the random numbers of the held-out samples from others of the same seed, and the batches' stream."""


@dataclass(kw_only=True, eq=False)
class RatioPhase(Phase):
    """Train D against the fixed policy, and keep the weights whose log-loss on held-out images, calibrated, is lowest.

    The best D of people's captions against as many samples of the policy has the logit log p_data / p_policy
    (Goodfellow et al. 2014, arXiv 1406.2661, proposition 1); one that has learned its training captions by heart has
    another. The held-out images are those of `holdout.check`, which the policy has not learned from either: of images
    that it knows by heart, its ratio is another one as well. Every measurement is of D as calibration would leave it:
    before, one that tells captions apart may have logits of any size.
    """

    trainer: DiscriminatorTrainer
    """One step of D."""
    steps: int
    """At most."""
    check_every: int
    """Steps between measurements on the held-out images; there is one before the first step and one after the last."""
    averaging: float
    """Decay in [0, 1) of the exponential moving average of D's weights, which is what is measured and kept; 0 keeps the
    last weights."""
    patience: int = field()
    """Measurements without a lower log-loss before the phase ends; 0: it does all steps."""

    teaches_the_discriminator_alone = True

    run: Run = field(init=False, repr=False)
    held_out: HeldOut = field(init=False, repr=False)
    average: AveragedModel = field(init=False, repr=False)
    best: dict[str, Tensor] = field(init=False, repr=False)
    """D's weights of the lowest log-loss so far."""
    lowest: float = field(init=False)
    """That log-loss, calibrated, nats."""
    since_best: int = field(init=False)
    """Measurements since."""
    ended: int | None = field(init=False)
    """The steps that were done, once the phase is over."""
    told: dict[str, float] = field(init=False, repr=False)
    """The last measurement, by logged name."""

    def __post_init__(self) -> None:
        at_least(1, steps=self.steps, check_every=self.check_every)
        at_least(0, patience=self.patience)
        share(averaging=self.averaging)

    def begin(self, run: Run) -> None:
        """Make the optimizer and the batches, and look up people's captions of the held-out images."""
        self.run = run
        self.trainer.begin(run, stream=_SAMPLES)
        self.held_out = self._held_out(run)
        self.average = moving_average(run.discriminator, self.averaging)
        self.best, self.told = {}, {}
        self.lowest, self.since_best, self.ended = math.inf, 0, None

    def rehearse(self, run: Run) -> None:
        """Look whether D has captions to learn from and to be measured on, and can be calibrated.

        Raises:
            UserError: it has not, or its negatives are not the policy's alone.
        """
        self.trainer.rehearse(run)
        loss = self.trainer.objective
        if loss.mismatched or loss.edited or not loss.generated:
            raise UserError(
                f"a ratio to the policy is learned from its samples alone, and generated={loss.generated}, "
                f"edited={loss.edited}, mismatched={loss.mismatched}: give discriminator_trainer=ratio"
            )
        if not isinstance(run.discriminator, Calibrated):
            raise UserError(
                f"this phase ends with D's calibration, and {type(run.discriminator).__name__} has none: give "
                "discriminator=calibrated, and discriminator@discriminator.discriminator=lstm (say) for what it wraps"
            )
        if not len(self._held_out(run)):
            raise UserError(
                f"D is measured on images that nobody learns from, and of {len(run.learners.nobody)} such images none "
                "has a caption without <unk>: give holdout.check=0.1, say"
            )

    @property
    def total(self) -> int:
        """The most steps; those that were done, once the phase has ended."""
        return self.steps if self.ended is None else self.ended

    def step(self, index: int) -> dict[str, float]:
        """Do one gradient step of D; after the last one, take the best weights and calibrate them."""
        if index == 0:
            self.trainer.prepare()
            self.held_out.draw(_SAMPLES)
            self._check(self.run.discriminator)
        metrics = self.trainer.step()
        self.average.update_parameters(self.run.discriminator)
        done = index + 1
        if done % self.check_every == 0 or done == self.steps:
            self._check(cast(Discriminator, self.average.module))
            if done == self.steps or (self.patience and self.since_best >= self.patience):
                self._end(done)
        return {**metrics, **self.told}

    def is_done(self) -> bool:
        """Tell whether the best weights are found."""
        return self.ended is not None

    def _held_out(self, run: Run) -> HeldOut:
        return HeldOut(run, batch_images=self.trainer.images_per_batch, precision=self.trainer.precision)

    def _check(self, discriminator: Discriminator) -> None:
        """Measure D as its calibration would leave it, and keep its weights where they are the best so far."""
        people, policy = self.held_out.logits(discriminator)
        scale, shift = platt(people, policy)
        self.told = measured(scale * people + shift, scale * policy + shift)
        self.since_best += 1
        if self.told["ratio/log_loss"] < self.lowest:
            self.lowest, self.since_best = self.told["ratio/log_loss"], 0
            self.best = {name: tensor.detach().clone() for name, tensor in discriminator.state_dict().items()}

    def _end(self, done: int) -> None:
        """Give D its best weights, calibrated."""
        discriminator = self.run.discriminator
        assert isinstance(discriminator, Calibrated), "rehearse refuses others"
        discriminator.load_state_dict(self.best)
        discriminator.calibrate(*self.held_out.logits(discriminator))
        self.run.generator.follow(discriminator)
        if self.since_best or self.averaging:
            self.trainer.updater.state.clear()  # moments of other weights, which whoever teaches D next would take over
        calibration = {"ratio/scale": discriminator.scale.item(), "ratio/shift": discriminator.shift.item()}
        self.told = {**measured(*self.held_out.logits(discriminator)), **calibration}
        self.best, self.ended = {}, done

    def state_dict(self) -> dict[str, Any]:
        """Return the trainer's state, the held-out samples, and the best weights with what tells when to end."""
        return {
            "trainer": self.trainer.state_dict(), "held_out": self.held_out.state_dict(), "best": dict(self.best),
            "lowest": self.lowest, "since_best": self.since_best, "told": dict(self.told), "ended": self.ended,
            "average": self.average.state_dict(),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.trainer.load_state_dict(state["trainer"])
        self.held_out.load_state_dict(state["held_out"])
        self.best, self.told = state["best"], state["told"]
        self.lowest, self.since_best, self.ended = state["lowest"], state["since_best"], state["ended"]
        if "average" in state:  # older checkpoints do not have it; there was none
            self.average.load_state_dict(state["average"])
