"""What the tests start in several processes: tiny runs of several methods, one after the other in one world.

torchrun --nproc_per_node=2 -m tests.distributed.several <folder> mle scst ...
"""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.launching import conf_dir
from gan_caption.distributed import processes, world
from gan_caption.experiment import run_experiment
from gan_caption.training.loop import Loop

COMMON = [
    "tracker=local", "threads=1", "log_every=1", "save_every=2", "max_length=8",
    # 23 images in batches of 7 leave 2.
    "data.train=23", "data.val=5", "data.test=7", "validation.batch_images=4", "validation.samples_per_image=2",
    "encoder.width=4", "generator.hidden=16", "generator.embedding=16",
    "generator.dropout=0",  # which each process draws for itself
    "phases.words.steps=4", "phases.words.images_per_batch=7",
    "phases.mle.epochs=1", "phases.mle.images_per_batch=7", "phases.mle.learning_rate_schedule.warmup_steps=2",
]  # fmt: skip
ADVERSARIAL = [
    "adversarial.steps=5", "adversarial.validate_every=3", "adversarial.quality_floor=0",
    "adversarial.images_per_batch=7", "adversarial.learning_rate=1e-3",
]  # fmt: skip
CRITIC = [
    "phases.discriminator.steps=3", "discriminator_trainer.images_per_batch=7",
    "discriminator.embedding=8", "discriminator.dropout=0",
]  # fmt: skip
METHODS = {
    "mle": ["phases.mle.objective.label_smoothing=0.1", "phases.mle.objective.scheduled_sampling=0.3"],
    "scst": [*ADVERSARIAL, "encoder.finetune=false"],  # features are extracted
    "nsc": [
        *ADVERSARIAL, "phases.policy_gradient.images_per_batch=7",
        "phases.policy_gradient.objective.samples_per_image=3",
    ],
    "seqgan": [
        *ADVERSARIAL, *CRITIC, "discriminator.filters=4", "phases.adversarial.objective.credit.rollouts=2",
        "discriminator_training.output_l2=0.5",
    ],
    "leakgan": [
        *ADVERSARIAL, *(one for one in CRITIC if "embedding" not in one), "text_cnn.embedding=8", "text_cnn.filters=4",
        "phases.adversarial.objective.manager_credit.credit.rollouts=2", "discriminator_training.steps_per_update=2",
        "discriminator_training.edited=0.5",
    ],
    "shetty": [
        *ADVERSARIAL, *CRITIC, "discriminator.hidden=8", "generator.noise_size=3",
        "discriminator_trainer.captions_per_image=2", "phases.adversarial.images_per_batch=7",
        "phases.adversarial.captions_per_image=2",
        "phases.adversarial.objective.samples_per_image=2",
        "phases.adversarial.gate.fewest=1", "phases.adversarial.gate.most=2",
    ],
    "ddo": [*ADVERSARIAL, "phases.round_1.captions_per_image=2"],
    "distilled": [
        *ADVERSARIAL, "holdout.check=0.3", "text_cnn.embedding=8", "text_cnn.filters=4", "text_cnn.dropout=0",
        "discriminator_trainer.images_per_batch=7", "phases.ratio.steps=6", "phases.ratio.check_every=2",
        "phases.ratio_2.steps=4", "phases.ratio_2.check_every=2",
    ],
    "gold": [*ADVERSARIAL, "phases.policy_gradient.captions_per_image=2"],
    "residual_ebm": [
        "holdout.check=0.3", "text_cnn.embedding=8", "text_cnn.filters=4", "text_cnn.dropout=0",
        "discriminator_trainer.images_per_batch=7", "phases.ratio.steps=6", "phases.ratio.check_every=2",
        "phases.resampling.decoding.candidates=3", "phases.resampling.decoding.density_sets=2",
    ],
    "unlikelihood": [*ADVERSARIAL, "phases.policy_gradient.captions_per_image=2"],
}  # fmt: skip


def configured(folder: Path, method: str) -> dict:
    """Compose a method's configuration, as the command line does."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        places = [f"outputs={folder}/{method}", f"cache={folder}/cache"]
        config = compose("config", [f"+experiment={method}", *COMMON, *METHODS[method], *places])
    return OmegaConf.to_container(config, resolve=True)


def train(folder: Path, *methods: str, resume: str | None = None) -> None:
    """Train methods one after the other, in this process or with those that it has joined."""
    for method in methods:
        run_experiment({**configured(folder, method), "resume": resume}, data="scenes")


def die_at(step: int) -> None:
    """Have this process killed, as by the system, once the run has done so many steps."""
    advance = Loop._advance

    def advance_or_die(loop: Loop, *arguments):
        if loop.step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return advance(loop, *arguments)

    Loop._advance = advance_or_die


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("methods", nargs="+")
    arguments.add_argument("--die-at", type=int)
    told = arguments.parse_args()
    if told.die_at and world.rank() == 1 and not processes.restarted():
        die_at(told.die_at)
    train(told.folder, *told.methods)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with processes.joined():
        main()
