"""Pretraining of the discriminator against the fixed generator."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Any, Literal, Protocol

import torch

from gan_caption.data.batches import CaptionBatches, without_unknown
from gan_caption.data.captions import UNK, Captions, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.warm_start import inherit, shared_weights, take_from_generator
from gan_caption.distributed import world
from gan_caption.errors import UserError, above, at_least
from gan_caption.generators.base import Generator
from gan_caption.modes import evaluating, forked_random
from gan_caption.objectives.base import GeneratorObjective
from gan_caption.objectives.discriminator import DiscriminatorLoss, Judged
from gan_caption.objectives.samples import as_many, policy_samples
from gan_caption.training.optimizers import Group, Optimizer
from gan_caption.training.phases.base import Phase, Precision, autocast, descend
from gan_caption.training.run import Run
from gan_caption.training.seeding import random_generator


class Negatives(Protocol):
    """Where the generator's captions come from that D learns to tell from people's."""

    def __call__(
        self, generator: Generator, features: ImageFeatures, *, samples: int, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return K captions of each of the B images, cut off from any graph."""
        ...


@dataclass(frozen=True)
class Left:
    """What the training of D leaves to the next phase in which D learns; checkpoints keep it for that."""

    optimizer: str
    """Its kind."""
    moments: dict[int, Any]
    """Of the optimizer, by parameter."""
    generated: bool
    """Whether D was shown samples."""
    accuracy: float
    """As `DiscriminatorTrainer.accuracy`."""
    fooled: float
    """As `DiscriminatorTrainer.fooled`."""


@dataclass(kw_only=True, eq=False)
class DiscriminatorTrainer:
    """One step of D: real captions, samples of the policy for the same images, captions of other images."""

    objective: DiscriminatorLoss
    """The loss."""
    images_per_batch: int
    """B, those of all processes together; at least 2."""
    captions_per_image: int
    """K real captions and as many samples of each; above 1 for discriminators of whole sets. An image with fewer
    captions is given as few samples."""
    optimizer: Optimizer
    """Of D. Where the last phase's was of another kind, it begins without moments."""
    learning_rate: float
    """Of D."""
    clip: float
    """Largest gradient norm."""
    precision: Precision
    """Of sampling and of D; "bfloat16" on devices made for it."""

    run: Run = field(init=False, repr=False)
    batches: CaptionBatches = field(init=False, repr=False)
    updater: torch.optim.Optimizer = field(init=False, repr=False)
    steps: int = field(init=False, default=0)
    first: bool = field(init=False, default=True)
    """Whether D has learned in no earlier phase."""
    accuracy: float = field(init=False, default=0.5)
    """Moving average of the mean accuracy over real and generated captions; without the latter, real and others."""
    fooled: float = field(init=False, default=0.5)
    """Moving average of the share of generated captions that D takes for real ones."""

    def __post_init__(self) -> None:
        images = self.images_per_batch
        if images < 2:
            raise ValueError(f"images_per_batch={images}: at least 2, mismatched pairs need another image")
        at_least(1, captions_per_image=self.captions_per_image)
        at_least(0, learning_rate=self.learning_rate)
        above(0, clip=self.clip)

    def begin(self, run: Run, *, stream: int) -> None:
        """Make the optimizer and the batches, and go on with what the last phase's trainer knew of the same D.

        Args:
            run: whose D learns.
            stream: of the batches; streams differ in their order.
        """
        self.run = run
        self.batches = run.batches(
            without_unknown(run.encoded), images=self.images_per_batch, per_image=self.captions_per_image,
            stream=stream, rows=run.learners.discriminator,
        )  # fmt: skip
        self.updater = self.optimizer([Group(run.discriminator.parameters(), self.learning_rate)])
        before = run.left_of_discriminator()
        self.first = before is None and not run.discriminator_is_taken
        if before is not None:
            self._follow(before)
        run.discriminator_trainer, run.discriminator_has_learned = self, True

    def rehearse(self, run: Run) -> None:
        """Judge two images: loss, captioner and D must fit, and there must be captions; see `Phase.rehearse`.

        Raises:
            ValueError: they do not fit.
            UserError: likewise, fewer than two images have a caption without `<unk>`, or samples may hold one.
        """
        self.objective.check(run.discriminator)
        if self.objective.generated and run.generator.first_word <= UNK:
            raise UserError(
                "generator.generate_unknown=true: samples may hold <unk>, and people's captions that hold it are not "
                "shown to a discriminator, which would learn that marker: leave it false"
            )
        run.discriminator.inherited(run.generator, run.captioner.encoder)
        rows = run.learners.discriminator
        known = list(islice((int(row) for row in rows if any(UNK not in one for one in run.encoded[row])), 2))
        if len(known) < 2:  # and no more are looked for
            raise UserError(
                f"the discriminator learns from captions without <unk>, and {len(known)} of {len(rows)} training "
                "images have one; it needs 2: lower vocabulary.min_count, or give more captions"
            )
        own = world.own_of(known)
        texts = [[one for one in run.encoded[row] if UNK not in one][: self.captions_per_image] for row in own]
        images = [image for image, several in enumerate(texts) for _ in several]
        real = captions_from_ids(list(chain.from_iterable(texts)), images)
        with forked_random(run.device), evaluating(run.captioner), evaluating(run.discriminator):
            self._judge(run, own, real, policy_samples, random_generator(0))

    def left(self) -> Left:
        """Return what the next phase's trainer of the same D goes on from."""
        generated = bool(self.objective.generated)
        return Left(_kind(self.updater), self.updater.state_dict()["state"], generated, self.accuracy, self.fooled)

    def _follow(self, before: Left) -> None:
        """Take over its accuracy and its optimizer's moments; the learning rate and the like are this trainer's.

        An optimizer of another kind begins without moments: those of the last would mean something else to it. So would
        the accuracy over captions of one kind to a trainer that is given another.
        """
        if bool(self.objective.generated) == before.generated:
            self.accuracy, self.fooled = before.accuracy, before.fooled
        if _kind(self.updater) == before.optimizer:
            own = self.updater.state_dict()["param_groups"]
            self.updater.load_state_dict({"state": before.moments, "param_groups": own})

    def prepare(self) -> None:
        """Give a D that has not learned yet what it begins with; its first step does so, where nothing did before."""
        if self.first and not self.steps:
            inherit(self.run.discriminator, self.run.generator, self.run.captioner.encoder)

    def step(self, negatives: Negatives = policy_samples) -> dict[str, float]:
        """Do one gradient step; the generator learns nothing, and reads what it reads of D anew."""
        discriminator = self.run.discriminator.train()
        judged = self._judge_next(negatives)
        descent = descend(self.updater, [judged.loss], discriminator, clip=self.clip)
        self.run.generator.follow(discriminator)
        return {**self._report(judged), "discriminator/gradient_norm": descent.gradient_norm}

    @torch.no_grad()
    def observe(self, negatives: Negatives = policy_samples) -> dict[str, float]:
        """Judge a batch without learning from it: how a resting D finds out that the generator has caught up."""
        self.run.discriminator.eval()
        return self._report(self._judge_next(negatives))

    def _judge_next(self, negatives: Negatives) -> Judged:
        run = self.run
        run.captioner.eval()
        self.prepare()
        batch = self.batches.at(self.steps)
        self.steps += 1
        return self._judge(run, batch.rows, batch.captions, negatives, run.rng)

    def _judge(self, run: Run, rows: list[int], real: Captions, negatives: Negatives, rng: torch.Generator) -> Judged:
        """Judge people's captions of these images, on the host, and as many samples of each."""
        with torch.no_grad():
            features = run.features(rows, grid=run.generator.uses_grid or run.discriminator.uses_grid)
        with autocast(run.device, self.precision):
            generated = None
            if self.objective.generated:
                drawn = negatives(
                    run.generator, features, samples=self.captions_per_image, max_length=run.max_length, rng=rng
                )
                generated = as_many(drawn, torch.bincount(real.images, minlength=len(rows)))
            return self.objective(run.discriminator, features, real=real.to(run.device), generated=generated, rng=rng)

    def _report(self, judged: Judged) -> dict[str, float]:
        fakes = {kind: share for kind, share in judged.accuracy.items() if kind != "real"}
        if "generated" in fakes:
            self.fooled = 0.95 * self.fooled + 0.05 * (1 - fakes["generated"])
        if fakes:
            of_fakes = fakes.get("generated", sum(fakes.values()) / len(fakes))
            self.accuracy = 0.95 * self.accuracy + 0.05 * (judged.accuracy["real"] + of_fakes) / 2
        return {
            "discriminator/loss": judged.loss.item(),
            "discriminator/accuracy": self.accuracy,
            **{f"discriminator/accuracy_{kind}": value for kind, value in judged.accuracy.items()},
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer, the position in the data, and what is known of D."""
        known = {"first": self.first, "accuracy": self.accuracy, "fooled": self.fooled}
        return {"optimizer": self.updater.state_dict(), "steps": self.steps, **known}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.updater.load_state_dict(state["optimizer"])
        self.steps, self.accuracy = state["steps"], state["accuracy"]
        self.fooled = state.get("fooled", 0.5)  # older checkpoints do not have it,
        self.first = state.get("first", False)  # nor this


def _kind(updater: torch.optim.Optimizer) -> str:
    """Return what two optimizers have in common whose moments are the same: the rule, and whether it has momentum."""
    return type(updater).__name__ + (" with momentum" if updater.defaults.get("momentum") else "")


@dataclass(kw_only=True, eq=False)
class DiscriminatorPhase(Phase):
    """Train D until it is informative: right often, but not always."""

    trainer: DiscriminatorTrainer
    """One step of D."""
    steps: int
    """At most."""
    target_accuracy: float
    """Stop once the moving accuracy over real and generated captions reaches it; a D that is always right rewards every
    sample alike."""
    initial_weights: Literal["random", "generator"]
    """With "generator", a D that has not learned yet begins with what it can take of the pretrained generator: the word
    vectors, say, and the recurrent weights where they fit."""
    negatives: GeneratorObjective | None
    """What shows D its negatives, as at the first step of an adversarial phase; None: the policy does."""

    teaches_the_discriminator_alone = True

    run: Run = field(init=False, repr=False)

    def __post_init__(self) -> None:
        at_least(1, steps=self.steps)
        if not 0.5 < self.target_accuracy <= 1:
            raise ValueError(f"target_accuracy={self.target_accuracy}: above .5, at most 1")

    def begin(self, run: Run) -> None:
        """Make the optimizer and the batches."""
        self.run = run
        self.trainer.begin(run, stream=1)
        self.trainer.accuracy = 0.5  # what D knew of an earlier policy is no reason to stop

    def rehearse(self, run: Run) -> None:
        """Look whether D has captions to learn from, and shares weights with the generator where that is asked for."""
        self.trainer.rehearse(run)
        if self.initial_weights == "generator":
            shared_weights(run.discriminator, run.generator)

    @property
    def total(self) -> int:
        """The most steps."""
        return self.steps

    def step(self, index: int) -> dict[str, float]:
        """Do one gradient step of D."""
        if index == 0 and self.trainer.first and self.initial_weights == "generator":
            take_from_generator(self.run.discriminator, self.run.generator)
        if self.negatives is None:
            return self.trainer.step()
        return self.trainer.step(partial(self.negatives.negatives, progress=0.0))

    def is_done(self) -> bool:
        """Tell whether D is right often enough."""
        return self.trainer.accuracy >= self.target_accuracy

    def state_dict(self) -> dict[str, Any]:
        """Return the trainer's state."""
        return self.trainer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.trainer.load_state_dict(state)
