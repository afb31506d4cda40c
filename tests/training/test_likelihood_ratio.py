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
from tests.training.test_matching import prepared

RATIO = [
    *TINY, "+experiment=seqgan", "discriminator=likelihood_ratio", "phases.discriminator.steps=3",
    "phases.adversarial.steps=1", "phases.adversarial.validate_every=1", "phases.adversarial.quality_floor=0",
    "phases.adversarial.images_per_batch=8", "phases.adversarial.objective.credit.rollouts=1",
    "discriminator_trainer.images_per_batch=8",
]  # fmt: skip


def test_its_first_loss_is_that_of_chance_and_its_reference_stays_the_pretrained_policy(configured, tmp_path):
    run_experiment(configured("discriminator_trainer.learning_rate=1e-2", base=RATIO), data="scenes")
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


@pytest.mark.parametrize("kind", ["likelihood_ratio", "likelihood_ratio_dense"])
def test_another_network_than_the_runs_is_refused_before_anything_is_trained(configured, tmp_path, kind):
    config = configured(f"discriminator={kind}", base=RATIO)
    config["discriminator"]["generator"]["hidden"] = 8
    with pytest.raises(UserError, match=r"phases\.discriminator: .*discriminator\.generator is another network"):
        run_experiment(config, data="scenes")
    assert not list((tmp_path / "outputs").iterdir())


def test_what_d_begins_with_is_taken_once_also_where_a_later_phase_is_resumed_before_ds_first_step_in_it(
    configured, tmp_path
):
    run, phases = prepared(configured(base=RATIO), tmp_path)
    phases["discriminator"].begin(run)
    phases["discriminator"].step(0)
    phases["adversarial"].begin(run)
    kept = phases["adversarial"].trainer.state_dict()
    learned = {name: weight.clone() for name, weight in run.discriminator.state_dict().items()}
    again, later = prepared(configured(base=RATIO), tmp_path)
    again.discriminator.load_state_dict(learned)
    later["adversarial"].begin(again)
    later["adversarial"].trainer.load_state_dict(kept)
    later["adversarial"].trainer.observe()
    for name, weight in again.discriminator.state_dict().items():
        assert torch.equal(weight, learned[name])
