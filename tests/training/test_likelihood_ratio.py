"""A discriminator that begins as the pretrained policy, in a whole run."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file

from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment
from gan_caption.training.checkpoint import load_state
from gan_caption.training.folders import best_weights
from tests.tiny_runs import TINY
from tests.training.test_discriminator_trainer import logged

RATIO = [
    *TINY, "+experiment=seqgan", "discriminator=likelihood_ratio", "phases.discriminator.steps=3",
    "phases.adversarial.steps=1", "phases.adversarial.validate_every=1", "phases.adversarial.quality_floor=0",
    "phases.adversarial.images_per_batch=8", "phases.adversarial.objective.credit.rollouts=1",
    "discriminator_trainer.images_per_batch=8",
]  # fmt: skip


def test_its_first_loss_is_that_of_chance_and_its_reference_stays_the_pretrained_policy(configured, tmp_path):
    overrides = ["phases.discriminator.initial_weights=generator", "discriminator_trainer.learning_rate=1e-2"]
    run_experiment(configured(*overrides, base=RATIO), data="scenes")
    (folder,) = (tmp_path / "outputs").iterdir()
    first, *others = logged(folder, "discriminator")
    # Two kinds of negatives of weight 1/2, each beside real pairs of weight 1: log 2 for either side.
    assert first["discriminator/loss"] == pytest.approx(2 * math.log(2), rel=1e-6)
    assert others[-1]["discriminator/loss"] != pytest.approx(2 * math.log(2), rel=1e-4)
    networks = load_state(folder / "checkpoints" / "last.pt").networks
    pretrained = load_file(best_weights(folder, "mle"))
    moved = 0
    for name, weight in networks.items():
        if name.startswith("discriminator.reference."):
            own = name.removeprefix("discriminator.reference.")
            assert torch.equal(weight, pretrained[f"generator.{own}"])
            moved += not torch.equal(networks[f"discriminator.generator.{own}"], weight)
    assert moved > 5


def test_with_random_weights_it_is_refused_before_anything_is_trained(configured, tmp_path):
    with pytest.raises(UserError, match=r"phases\.discriminator: initial_weights=random: .* initial_weights=generator"):
        run_experiment(configured(base=RATIO), data="scenes")
    (folder,) = (tmp_path / "outputs").iterdir()
    assert not (folder / "checkpoints" / "last.pt").exists()
