"""Overrides that make a whole run take seconds."""

from __future__ import annotations

from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.launching import conf_dir

TINY = [
    "tracker=local", "threads=1", "log_every=1", "save_every=2", "max_length=10",
    "data.train=40", "data.val=8", "data.test=8", "encoder.width=8",
    "phases.words.steps=3", "phases.words.images_per_batch=8", "generator.hidden=16", "generator.embedding=16",
    "phases.mle.epochs=2", "phases.mle.images_per_batch=8", "phases.mle.learning_rate_schedule.warmup_steps=2",
]  # fmt: skip
TINY_SEQGAN = [
    *TINY, "+experiment=seqgan", "discriminator.embedding=8", "discriminator.filters=4",
    "phases.discriminator.steps=3", "phases.adversarial.steps=4", "phases.adversarial.validate_every=2",
    "phases.adversarial.quality_floor=0", "phases.adversarial.images_per_batch=8",
    "phases.adversarial.objective.credit.rollouts=2", "discriminator_trainer.images_per_batch=8",
]  # fmt: skip


def composed(*overrides: str, config_name: str = "config") -> dict[str, Any]:
    """Compose a page, as the command line does."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose(config_name, overrides=list(overrides)), resolve=True)
