"""Overrides that make a whole run take seconds."""

from __future__ import annotations

TINY = [
    "tracker=local", "threads=1", "log_every=1", "save_every=1000", "max_length=10",
    "discriminator_training.steps_per_update=1",
    "data.train=40", "data.val=8", "data.test=8", "encoder.width=8",
    "phases.words.steps=3", "phases.words.images_per_batch=8", "size.hidden=16", "size.embedding=16",
    "phases.mle.epochs=2", "phases.mle.images_per_batch=8", "phases.mle.learning_rate_schedule.warmup_steps=2",
]  # fmt: skip
TINY_SEQGAN = [
    *TINY, "+experiment=seqgan", "discriminator.embedding=8", "discriminator.filters=4",
    "phases.discriminator.steps=3", "phases.adversarial.steps=4", "phases.adversarial.validate_every=2",
    "phases.adversarial.quality_floor=0", "phases.adversarial.images_per_batch=8",
    "phases.adversarial.objective.credit.rollouts=2", "discriminator_trainer.images_per_batch=8",
]  # fmt: skip
