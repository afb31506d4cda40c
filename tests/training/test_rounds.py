"""Rounds: phases of the policy that follow each other, each compared with what the one before it left."""

from __future__ import annotations

import json
from itertools import chain

import pytest
import torch
from safetensors.torch import load_file

from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment
from gan_caption.training.checkpoint import load_state
from gan_caption.training.phases.held_out import HeldOut
from gan_caption.training.phases.policy_gradient import PolicyGradientPhase
from tests.training.test_discriminator_trainer import same_state
from tests.training.test_experiment import interrupted
from tests.training.test_methods import shrunk


def two_rounds(outputs, **of_the_first):
    config = shrunk("ddo", outputs)
    config["phases"]["round_1"] |= {"learning_rate": 1e-2, **of_the_first}
    config["phases"]["round_2"] |= {"learning_rate": 1e-2}
    return config


def references(config, monkeypatch):
    """Train, and return the weights that each round was compared with."""
    seen, begin = [], PolicyGradientPhase.begin

    def looking(self, run):
        begin(self, run)
        seen.append({f"generator.{name}": one.clone() for name, one in self.reference.state_dict().items()})

    monkeypatch.setattr(PolicyGradientPhase, "begin", looking)
    return run_experiment(config, data="scenes"), seen


def same(weights, kept):
    return all(torch.equal(one, kept[name]) for name, one in weights.items())


def test_the_second_round_is_compared_with_what_the_first_left(tmp_path, monkeypatch):
    finished, (first, second) = references(two_rounds(tmp_path), monkeypatch)
    assert list(finished.systems) == ["mle", "round_1", "round_2"]
    mle, round_1 = (
        load_file(finished.folder / "checkpoints" / f"best_{name}.safetensors") for name in ("mle", "round_1")
    )
    assert same(first, mle)
    assert same(second, round_1)
    assert not same(second, mle)


def test_the_second_round_shows_images_in_an_order_of_its_own(tmp_path, monkeypatch):
    """Else two rounds of half an epoch show one half of the images twice."""
    seen, begin = {}, PolicyGradientPhase.begin

    def looking(self, run):
        begin(self, run)
        seen[run.turn] = [self.batches.at(step).rows for step in range(len(self.batches))]

    monkeypatch.setattr(PolicyGradientPhase, "begin", looking)
    run_experiment(two_rounds(tmp_path), data="scenes")
    first, second = (seen[turn] for turn in (0, 1))
    assert first != second
    assert sorted(chain(*first)) == sorted(chain(*second)), "an epoch has all"


@pytest.mark.parametrize(("name", "named"), [("round_2", "round_l"), ("round_2", "round_2"), ("round_1", "round_2")])
def test_a_round_that_is_compared_with_no_earlier_phase_is_refused(tmp_path, name, named):
    config = two_rounds(tmp_path)
    config["phases"][name]["pretraining"] = named
    with pytest.raises(UserError, match=rf"phases\.{name}\.pretraining={named}: name an earlier phase: .*mle"):
        run_experiment(config, data="scenes")


def test_the_second_rounds_discriminator_learns_of_what_the_first_left(tmp_path, monkeypatch):
    """A discriminator that is taken over spares its first phase alone: it never saw the policy of the second round."""
    seen, draw = [], HeldOut.draw

    def looking(self, seed):
        seen.append({name: one.clone() for name, one in self.run.captioner.state_dict().items()})
        draw(self, seed)

    monkeypatch.setattr(HeldOut, "draw", looking)
    config = shrunk("distilled", tmp_path, "holdout.check=0.25")
    config["phases"]["round_1"] |= {"learning_rate": 1e-2}
    first = run_experiment(config, data="scenes")
    left = [load_file(first.folder / "checkpoints" / f"best_{name}.safetensors") for name in ("mle", "round_1")]
    assert all(same(weights, policy) for weights, policy in zip(left, seen, strict=True))
    assert not same(left[1], seen[0])

    taken = {"pretrained": str(first.folder), "pretrained_discriminator": str(first.folder)}
    second = run_experiment({**config, **taken}, data="scenes")
    records = [json.loads(line) for line in (second.folder / "metrics.jsonl").open()]
    assert list(dict.fromkeys(record["phase"] for record in records)) == ["round_1", "ratio_2", "round_2"]


@pytest.mark.slow
def test_after_a_round_without_healthy_weights_the_next_begins_at_the_one_before(tmp_path, monkeypatch):
    # No entropy is a hundred times its first value.
    finished, (_, second) = references(two_rounds(tmp_path, entropy_floor=100.0), monkeypatch)
    assert list(finished.systems) == ["mle", "round_2"]
    assert same(second, load_file(finished.folder / "checkpoints" / "best_mle.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("stopped_in", [0, 2])
def test_stopped_in_either_round_it_ends_bitwise_alike(stopped_in, tmp_path, monkeypatch):
    whole, stopped = ({**two_rounds(tmp_path / name), "resume": "auto"} for name in ("whole", "stopped"))
    for config in (whole, stopped):
        config["phases"]["round_1"] |= {"steps": 2}
        config["phases"]["round_2"] |= {"steps": 4}
    run_experiment(whole, data="scenes")
    interrupted(stopped, monkeypatch, PolicyGradientPhase, after=stopped_in)
    run_experiment(stopped, data="scenes")
    folders = [next((tmp_path / name).glob("ddo-*")) for name in ("whole", "stopped")]
    states = [vars(load_state(folder / "checkpoints" / "last.pt")) for folder in folders]
    assert states[0]["finished"]
    assert same_state(*states)


@pytest.mark.slow
@pytest.mark.parametrize("inner", ["likelihood_ratio", "lstm"])
def test_stopped_between_two_of_its_phases_the_discriminator_goes_on_alike(inner, tmp_path, monkeypatch):
    """In the round between them no D learns: its moments and its beginning are still those of the first phase."""

    def configured(name):
        config = shrunk("distilled", tmp_path / name, "holdout.check=0.25",
                        f"discriminator@discriminator.discriminator={inner}")  # fmt: skip
        config["phases"]["round_1"] |= {"steps": 3, "learning_rate": 1e-2}
        return {**config, "resume": "auto"}

    whole, stopped = configured("whole"), configured("stopped")
    run_experiment(whole, data="scenes")
    interrupted(stopped, monkeypatch, PolicyGradientPhase, after=1)
    run_experiment(stopped, data="scenes")
    folders = [next((tmp_path / name).glob("distilled-*")) for name in ("whole", "stopped")]
    states = [vars(load_state(folder / "checkpoints" / "last.pt")) for folder in folders]
    assert states[0]["finished"]
    assert states[0]["discriminator_left"]
    assert same_state(*states)
