"""A discriminator with an encoder of its own, in a whole run and after it."""

from __future__ import annotations

import pytest
import torch

from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment
from gan_caption.inference.captioner import Captioner
from gan_caption.training.checkpoint import load_state
from tests.tiny_runs import TINY_SEQGAN, part
from tests.training.test_matching import prepared

OWN = [
    *(one for one in TINY_SEQGAN if not one.startswith("discriminator.")), "discriminator=own_eyes",
    "discriminator.discriminator.embedding=8", "discriminator.discriminator.filters=4",
]  # fmt: skip


def test_its_eyes_are_the_captioners_when_it_begins_to_learn(configured, tmp_path):
    run, phases = prepared(configured(base=OWN), tmp_path)
    theirs, own = run.captioner.encoder, run.discriminator.encoder
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.add_(1e-3)  # as if the captioner had learned
    phases["discriminator"].begin(run)
    phases["discriminator"].trainer.updater.param_groups[0]["lr"] = 0.0
    phases["discriminator"].step(0)
    for name, weight in own.state_dict().items():
        assert torch.equal(weight, theirs.state_dict()[name])


def test_it_learns_to_see_and_judges_photographs_afterwards(configured, tmp_path):
    run_experiment(configured(base=OWN), data="scenes")
    (folder,) = (tmp_path / "outputs").iterdir()
    networks = load_state(folder / "checkpoints" / "last.pt").networks
    eyes = [name.partition("captioner.encoder.")[2] for name in networks if name.startswith("captioner.encoder.")]
    assert eyes
    for name in eyes:
        assert not torch.equal(networks[f"captioner.encoder.{name}"], networks[f"discriminator.encoder.{name}"])
    split = part("data/scenes", test=2).split("test")
    told = [Captioner.load(folder).caption(split.image(row)).best for row in range(2)]
    assert all(0 < one.discriminator < 1 for one in told)


def test_where_features_were_extracted_once_it_is_refused_with_advice(configured, tmp_path):
    with pytest.raises(UserError, match=r"reads pixels.*give encoder\.finetune=true"):
        prepared(configured("encoder.finetune=false", base=OWN), tmp_path)
