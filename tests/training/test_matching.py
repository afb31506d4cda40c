"""Pretraining of the discriminator on people's captions alone, before it meets a sample."""

from __future__ import annotations

import pytest
import torch

from gan_caption.experiment import run_experiment, set_up
from gan_caption.training.checkpoint import load_state
from gan_caption.training.phases.discriminator import DiscriminatorPhase
from gan_caption.training.setup import Data, check_configuration
from tests.tiny_runs import TINY_SEQGAN
from tests.training.test_discriminator_trainer import logged, same_state
from tests.training.test_experiment import interrupted

MATCHING = [
    "+phase@phases.matching=matching", *TINY_SEQGAN, "phases.matching.steps=4",
    "phases.matching.trainer.images_per_batch=8", "phases.matching.trainer.learning_rate=1e-2",
]  # fmt: skip


def prepared(config, folder):
    settings = check_configuration(config)
    run, phases, _ = set_up(settings, folder, Data(settings, report=lambda line: None))
    return run, phases


def no_samples(*_, **__):
    raise AssertionError("captions were sampled")


def test_it_comes_before_the_phases_of_the_experiment_and_asks_for_no_samples(configured, tmp_path):
    run, phases = prepared(configured(base=MATCHING), tmp_path)
    assert list(phases) == ["words", "mle", "matching", "discriminator", "adversarial"]
    for phase in phases.values():
        phase.rehearse(run)
    matching = phases["matching"]
    matching.begin(run)
    for step in range(3):
        told = matching.trainer.step(no_samples)
        assert {name for name in told if "accuracy_" in name} == {
            f"discriminator/accuracy_{kind}" for kind in ("real", "mismatched", "edited")
        }
        if step == 0:
            fakes = (told["discriminator/accuracy_mismatched"] + told["discriminator/accuracy_edited"]) / 2
            expected = 0.95 * 0.5 + 0.05 * (told["discriminator/accuracy_real"] + fakes) / 2
            assert matching.trainer.accuracy == pytest.approx(expected)
    assert matching.trainer.fooled == 0.5


def test_the_next_trainer_goes_on_with_its_moments_and_not_with_its_accuracy(configured, tmp_path):
    """Of samples D knows nothing yet, and an accuracy above the target would end its pretraining at once."""
    run, phases = prepared(configured(base=MATCHING), tmp_path)
    phases["matching"].begin(run)
    phases["matching"].step(0)
    phases["matching"].trainer.accuracy = 0.97
    phases["discriminator"].begin(run)
    trainer = phases["discriminator"].trainer
    assert trainer.accuracy == 0.5
    assert {state["step"].item() for state in trainer.updater.state_dict()["state"].values()} == {1}
    trainer.accuracy = 0.9
    phases["adversarial"].begin(run)
    assert phases["adversarial"].trainer.accuracy == 0.9


def test_what_it_learned_is_not_overwritten_by_the_generators_weights(configured, tmp_path):
    overrides = ["discriminator=lstm", "discriminator.hidden=16", "discriminator.embedding=16"]
    overrides += [f"phases.{phase}.initial_weights=generator" for phase in ("matching", "discriminator")]
    base = [one for one in MATCHING if not one.startswith("discriminator.")]
    run, phases = prepared(configured(*overrides, base=base), tmp_path)
    words = run.generator.words.weight.detach()
    for name, learned in (("matching", False), ("discriminator", True)):
        phases[name].begin(run)
        phases[name].trainer.updater.param_groups[0]["lr"] = 0.0
        phases[name].step(0)
        assert torch.equal(run.discriminator.words.weight, words) != learned
        with torch.no_grad():
            run.discriminator.words.weight.add_(1.0)  # as if it had learned


@pytest.mark.slow
def test_a_run_that_is_stopped_in_it_ends_bitwise_alike(configured, monkeypatch, tmp_path):
    whole, stopped = (configured("resume=auto", f"outputs={tmp_path / name}", base=MATCHING) for name in ("a", "b"))
    run_experiment(whole, data="scenes")
    interrupted(stopped, monkeypatch, DiscriminatorPhase, after=1)
    run_experiment(stopped, data="scenes")
    folders = [next((tmp_path / name).iterdir()) for name in ("a", "b")]
    assert same_state(*(vars(load_state(folder / "checkpoints" / "last.pt")) for folder in folders))
    logs = [[{**record, "time": 0} for record in logged(folder, "matching")] for folder in folders]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 4
