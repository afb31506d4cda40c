"""The discriminator's trainer goes on, from D's pretraining into the adversarial phase."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from gan_caption.data.captions import EOS, UNK, captions_from_ids
from gan_caption.experiment import run_experiment, set_up
from gan_caption.objectives.baselines import NoBaseline
from gan_caption.objectives.credit import WholeSequence
from gan_caption.objectives.discriminator import Relativistic
from gan_caption.objectives.policy_gradient import PolicyGradient
from gan_caption.rewards.controls import ConstantReward
from gan_caption.training.checkpoint import load_state
from gan_caption.training.phases.adversarial import AdversarialPhase
from gan_caption.training.phases.discriminator import DiscriminatorPhase
from gan_caption.training.setup import Data, check_configuration
from tests.tiny_runs import TINY, TINY_SEQGAN, composed
from tests.training.test_experiment import interrupted


def logged(folder: Path, phase: str) -> list[dict]:
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [record for record in records if record["phase"] == phase and "discriminator/loss" in record]


@pytest.mark.slow
@pytest.mark.parametrize("pretrained", [False, True])
def test_the_discriminators_accuracy_and_optimizer_go_on_in_the_adversarial_phase(configured, tmp_path, pretrained):
    overrides = []
    if pretrained:
        run_experiment(configured(f"outputs={tmp_path}/mle", base=TINY), data="scenes")
        overrides = [f"pretrained={next((tmp_path / 'mle').iterdir())}"]
    steps = 8
    overrides += [f"phases.discriminator.steps={steps}", "discriminator_trainer.learning_rate=1e-2"]
    run_experiment(configured(*overrides), data="scenes")
    (folder,) = (tmp_path / "outputs").iterdir()
    before, after = logged(folder, "discriminator")[-1], logged(folder, "adversarial")
    recent = (after[0]["discriminator/accuracy_real"] + after[0]["discriminator/accuracy_generated"]) / 2
    assert before["discriminator/accuracy"] != 0.5
    expected = 0.95 * before["discriminator/accuracy"] + 0.05 * recent
    assert after[0]["discriminator/accuracy"] == pytest.approx(expected, abs=1e-12)
    optimizer = load_state(folder / "checkpoints" / "last.pt").phase_state["trainer"]["optimizer"]
    updates = steps + sum(record["discriminator/updates"] for record in after)
    assert {state["step"].item() for state in optimizer["state"].values()} == {updates}


def test_a_phase_of_the_discriminator_ends_once_it_is_right_often_enough(configured, tmp_path):
    run_experiment(
        configured("phases.discriminator.steps=60", "phases.discriminator.target_accuracy=0.51",
                   "discriminator_trainer.learning_rate=1e-2", "phases.adversarial.steps=1"),
        data="scenes",
    )  # fmt: skip
    (folder,) = (tmp_path / "outputs").iterdir()
    *before, last = [record["discriminator/accuracy"] for record in logged(folder, "discriminator")]
    assert len(before) < 59
    assert max(before, default=0.5) < 0.51 <= last


def test_a_later_phase_of_the_discriminator_does_not_end_by_what_an_earlier_one_knew(configured, tmp_path):
    """It learns of a policy that it has not met."""
    config = configured("phases.discriminator.target_accuracy=0.65")
    config["phases"] = {"discriminator": config["phases"]["discriminator"],
                        "again": config["phases"]["discriminator"]}  # fmt: skip
    settings = check_configuration(config)
    run, phases, _ = set_up(settings, tmp_path, Data(settings, report=lambda line: None))
    for phase in phases.values():
        phase.begin(run)
        assert not phase.is_done()
        phase.trainer.accuracy = 0.66
        assert phase.is_done()


def test_the_next_phases_trainer_goes_on_at_its_own_learning_rate(configured, tmp_path):
    config = configured()
    config["phases"]["adversarial"]["trainer"] |= {"learning_rate": 0.125}
    settings = check_configuration(config)
    run, phases, _ = set_up(settings, tmp_path, Data(settings, report=lambda line: None))
    for phase in phases.values():
        phase.begin(run)
    (group,) = phases["adversarial"].trainer.updater.param_groups
    assert group["lr"] == 0.125


RMS = {"_target_": "gan_caption.training.optimizers.RMSprop", "alpha": 0.75, "eps": 1e-8, "momentum": 0.0,
       "weight_decay": 0.0}  # fmt: skip
SGD = {"_target_": "gan_caption.training.optimizers.SGD", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}


@pytest.mark.parametrize(
    ("before", "after"), [(None, RMS), (None, SGD), (RMS, SGD), (SGD, RMS), (RMS, RMS | {"momentum": 0.5})]
)
def test_the_next_phases_trainer_with_another_kind_of_optimizer_begins_without_moments(
    configured, tmp_path, before, after
):
    config = configured("discriminator_trainer.clip=1e9", "discriminator_trainer.learning_rate=0.25")
    if before is not None:
        config["phases"]["discriminator"]["trainer"]["optimizer"] = before
    config["phases"]["adversarial"]["trainer"]["optimizer"] = after
    settings = check_configuration(config)
    run, phases, _ = set_up(settings, tmp_path, Data(settings, report=lambda line: None))
    phases["discriminator"].begin(run)
    phases["discriminator"].step(0)
    phases["discriminator"].trainer.accuracy = 0.7
    phases["adversarial"].begin(run)
    trainer = phases["adversarial"].trainer
    assert trainer.accuracy == 0.7
    start = {name: weight.detach().clone() for name, weight in run.discriminator.named_parameters()}
    trainer.step()
    for name, weight in run.discriminator.named_parameters():
        by_hand = weight.grad if after is SGD else weight.grad / (0.5 * weight.grad.abs() + 1e-8)  # each one's first
        torch.testing.assert_close(weight, start[name] - 0.25 * by_hand)


def begun(config, folder):
    settings = check_configuration(config)
    run, phases, _ = set_up(settings, folder, Data(settings, report=lambda line: None))
    return run, phases["discriminator"]


class Counting(Relativistic):
    """A loss that compares pair by pair, and counts each image's captions of both kinds."""

    def __call__(self, discriminator, features, *, real, generated, rng):
        self.counts = [torch.bincount(captions.images).tolist() for captions in (real, generated)]
        return super().__call__(discriminator, features, real=real, generated=generated, rng=rng)


def test_an_image_with_fewer_captions_is_given_as_few_samples(configured, tmp_path):
    run, phase = begun(configured("discriminator_trainer.captions_per_image=3"), tmp_path)
    run.encoded = [own[: 1 + row % 3] for row, own in enumerate(run.encoded)]
    phase.trainer.objective = objective = Counting(generated=1.0, mismatched=1.0, edited=0.0)
    phase.rehearse(run)
    phase.begin(run)
    phase.step(0)
    people, samples = objective.counts
    assert people == samples
    assert set(people) == {1, 2, 3}


class Said(PolicyGradient):
    """An objective whose captions all say the word 7."""

    def negatives(self, generator, features, *, samples, max_length, rng, progress):
        count = len(features) * samples
        return captions_from_ids([[7, EOS]] * count, [row // samples for row in range(count)])


def test_d_is_pretrained_on_the_captions_that_the_objective_will_show_it(configured, tmp_path):
    run, phase = begun(configured(), tmp_path)
    shown = []

    class Seen(Relativistic):
        def __call__(self, discriminator, features, *, real, generated, rng):
            shown.append(generated.tokens[:, 0])
            return super().__call__(discriminator, features, real=real, generated=generated, rng=rng)

    phase.trainer.objective = Seen(generated=1.0, mismatched=0.0, edited=0.0)
    phase.begin(run)
    phase.step(0)
    phase.negatives = Said(
        reward=ConstantReward(value=0.0), credit=WholeSequence(), baseline=NoBaseline(), samples_per_image=1,
        entropy_weight=0.0, kl_weight=0.0, advantage_clip=None,
    )  # fmt: skip
    phase.step(1)
    assert not (shown[0] == 7).all()
    assert (shown[1] == 7).all()


def test_shettys_d_is_pretrained_on_words_of_sharper_logits():
    config = composed("+experiment=shetty")
    assert config["phases"]["discriminator"]["negatives"] == config["phases"]["adversarial"]["objective"]


def test_a_loss_that_does_not_fit_the_discriminator_is_refused_before_anything_is_trained(configured, tmp_path):
    config = configured("discriminator_trainer=relativistic")
    config["discriminator"] = {
        "_target_": "gan_caption.discriminators.dense.DenseDiscriminator", "hidden": 8, "embedding": 8, "dropout": 0.0,
        "instance_noise": 0.0,
    }  # fmt: skip
    run, phase = begun(config, tmp_path)
    before = torch.get_rng_state(), run.rng.get_state()
    with pytest.raises(ValueError, match="dense ones answer one a token"):
        phase.rehearse(run)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(run.rng.get_state(), before[1])


def same_state(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_state(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_state, one, other))
    return repr(one) == repr(other)  # NaN is not equal to itself


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "pretrained"])
def whole(request, tmp_path_factory) -> tuple[list[str], Path]:
    """What a run was told, and the folder of one that was never stopped."""
    place = tmp_path_factory.mktemp("whole")
    overrides = ["resume=auto", f"cache={place}/cache"]
    if request.param:
        run_experiment(composed(*TINY, f"cache={place}/cache", f"outputs={place}/mle"), data="scenes")
        overrides += [f"pretrained={next((place / 'mle').iterdir())}"]
    run_experiment(composed(*TINY_SEQGAN, *overrides, f"outputs={place}/outputs"), data="scenes")
    return overrides, next((place / "outputs").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "after"), [(DiscriminatorPhase, 2), (AdversarialPhase, 0), (AdversarialPhase, 1)])
def test_a_run_that_is_stopped_where_the_adversarial_phase_begins_ends_bitwise_alike(
    whole, monkeypatch, tmp_path, phase, after
):
    overrides, folder = whole
    stopped = composed(*TINY_SEQGAN, *overrides, f"outputs={tmp_path}/stopped")
    interrupted(stopped, monkeypatch, phase, after=after)
    folders = [folder, next((tmp_path / "stopped").iterdir())]
    before = (folders[1] / "metrics.jsonl").read_bytes()
    run_experiment(stopped, data="scenes")
    assert before
    assert (folders[1] / "metrics.jsonl").read_bytes().startswith(before)  # with its times: no step was made twice
    states = [vars(load_state(folder / "checkpoints" / "last.pt")) for folder in folders]
    assert states[0]["finished"]
    assert same_state(*states)
    logs = [[{**record, "time": 0} for record in logged(folder, "adversarial")] for folder in folders]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("page", ["relgan", "shetty"])
def test_what_the_generators_loss_shows_of_people_is_what_the_discriminator_knows(tmp_path, page):
    """D never learns of a caption with `<unk>`, which the policy cannot write."""
    settings = check_configuration(
        composed(*TINY, f"+experiment={page}", "vocabulary.min_count=30", f"cache={tmp_path}/cache")
    )
    run, phases, _ = set_up(settings, tmp_path, Data(settings, report=lambda line: None))
    phases["adversarial"].begin(run)
    assert any(UNK in caption for own in run.encoded for caption in own)
    for index in range(5):
        captions = phases["adversarial"].batches.at(index).captions
        assert len(captions) > 0
        assert not (captions.tokens == UNK).any()
