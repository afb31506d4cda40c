"""LeakGAN's page: the policy reads D's features as D learns, and a run ends alike wherever it was stopped."""

from __future__ import annotations

import json

import pytest
import torch

from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment, set_up
from gan_caption.training.checkpoint import load_state
from gan_caption.training.phases.adversarial import AdversarialPhase
from gan_caption.training.phases.discriminator import DiscriminatorPhase
from gan_caption.training.phases.maximum_likelihood import MaximumLikelihoodPhase
from gan_caption.training.setup import Data, check_configuration
from tests.tiny_runs import TINY, composed
from tests.training.test_discriminator_trainer import same_state
from tests.training.test_experiment import interrupted

TINY_LEAKGAN = [
    *TINY, "+experiment=leakgan", "text_cnn.embedding=8", "text_cnn.filters=4", "text_cnn.widths=[1,2,3]",
    "generator.goal_size=3", "phases.discriminator.steps=3", "phases.adversarial.steps=4",
    "phases.adversarial.validate_every=2", "phases.adversarial.quality_floor=0",
    "phases.adversarial.images_per_batch=8", "discriminator_training.steps_per_update=2",
    "phases.adversarial.objective.manager_credit.credit.rollouts=2", "discriminator_trainer.images_per_batch=8",
]  # fmt: skip
ORACLE = ["data=oracle", "encoder=none", "data.words=20", "data.length=6", "max_length=6"]


def configured(folder, *overrides):
    base = TINY_LEAKGAN if "data=oracle" not in overrides else [one for one in TINY_LEAKGAN if "words." not in one]
    base = [one for one in base if "data=oracle" not in overrides or not one.startswith("encoder.")]
    return composed(*base, f"outputs={folder}", f"cache={folder}/cache", *overrides)


def leaked_is_ds(networks):
    """Whether the policy reads with D's weights, by two of their kinds."""
    leak = {name.split(".leak.")[1]: weight for name, weight in networks.items() if ".leak." in name}
    words, carry = networks["discriminator.words.weight"], networks["discriminator.critic.carry.weight"]
    return torch.equal(leak["words"], words) and torch.equal(leak["carry_weight"], carry)


def test_the_policy_reads_as_d_does_from_the_beginning_and_after_every_step_of_d(tmp_path):
    settings = check_configuration(configured(tmp_path))
    run, phases, _ = set_up(settings, tmp_path, Data(settings, report=lambda line: None))
    assert leaked_is_ds(run.networks.state_dict())
    first = run.generator.leak.words.clone()
    for name in ("discriminator", "adversarial"):
        phases[name].begin(run)
        phases[name].step(0)
        assert leaked_is_ds(run.networks.state_dict())
    assert not torch.equal(run.generator.leak.words, first)
    learning = {id(own) for group in phases["adversarial"].updater.param_groups for own in group["params"]}
    assert learning == {id(own) for own in run.generator.parameters()}
    assert not learning & {id(own) for own in run.generator.leak.buffers()}


@pytest.mark.slow
def test_a_policy_that_reads_another_discriminator_is_not_gone_on_with(tmp_path):
    """What it has learned to read is the discriminator of its own run."""
    first = run_experiment(configured(tmp_path / "first"), data="scenes").folder
    asked = configured(tmp_path / "next", f"begin_from={first}", "phases.words=null")
    with pytest.raises(UserError, match=r"^begin_from=.*has learned to read what its own discriminator makes of"):
        run_experiment(asked, data="scenes")


@pytest.mark.slow
def test_a_run_ends_bitwise_alike_wherever_it_was_stopped(monkeypatch, tmp_path):
    whole, stopped = (configured(tmp_path / name, "resume=auto") for name in ("whole", "stopped"))
    systems = run_experiment(whole, data="scenes").systems
    for phase in (MaximumLikelihoodPhase, DiscriminatorPhase, AdversarialPhase):
        interrupted(stopped, monkeypatch, phase, after=1)
        (folder,) = (tmp_path / "stopped").glob("leakgan-*")
        assert leaked_is_ds(load_state(folder / "checkpoints" / "last.pt").networks)
    assert repr(run_experiment(stopped, data="scenes").systems) == repr(systems)
    folders = [next((tmp_path / name).glob("leakgan-*")) for name in ("whole", "stopped")]
    assert same_state(*(vars(load_state(one / "checkpoints" / "last.pt")) for one in folders))
    logs = [[json.loads(line) | {"time": 0} for line in (one / "metrics.jsonl").open()] for one in folders]
    assert logs[0] == logs[1]
    last = [record for record in logs[0] if "policy/loss" in record][-1]
    assert -1 <= last["policy/goal_cosine"] <= 1
    assert -1 <= last["policy/intrinsic_reward"] <= 1


def test_seqgans_synthetic_task(tmp_path):
    systems = run_experiment(configured(tmp_path, *ORACLE), data="oracle").systems
    assert set(systems) == {"mle", "adversarial"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("generator=lstm", "LSTMGenerator has none: give generator=leakgan"),
        ("discriminator=lstm", "LSTMDiscriminator has none: give discriminator=cnn"),
        ("generator.leaked_filters=5", "must be discriminator.embedding, filters and widths"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(override, message, tmp_path):
    base = [one for one in TINY_LEAKGAN if not (override == "generator=lstm" and one.startswith("generator."))]
    base = [one for one in base if not (override == "discriminator=lstm" and "filters" in one)]
    config = composed(*base, f"outputs={tmp_path}", f"cache={tmp_path}/cache", override)
    with pytest.raises(UserError, match=message):
        run_experiment(config, data="scenes")
    assert not list(tmp_path.rglob("metrics.jsonl"))


@pytest.mark.slow
def test_a_baseline_that_reads_another_d_is_refused(tmp_path):
    """Of another seed it would lose, at D's first step, the features that it was trained on."""
    first = run_experiment(configured(tmp_path / "first"), data="scenes").folder
    again = run_experiment(configured(tmp_path / "again", f"pretrained={first}"), data="scenes")
    assert "adversarial" in again.systems
    with pytest.raises(UserError, match=r"its policy has learned to read what its own discriminator .*leak.*s seed"):
        run_experiment(configured(tmp_path / "other", f"pretrained={first}", "seed=1"), data="scenes")
