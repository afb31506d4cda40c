"""What single pages promise of their whole runs; that every page trains is tested beside its golden losses."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.launching import conf_dir
from gan_caption.decoding.sampling import sample
from gan_caption.evaluation.trained import open_run
from gan_caption.experiment import run_experiment
from gan_caption.training.checkpoint import load_state
from gan_caption.training.phases.adversarial import AdversarialPhase
from gan_caption.training.phases.maximum_likelihood import MaximumLikelihoodPhase
from gan_caption.training.phases.policy_gradient import PolicyGradientPhase
from gan_caption.training.seeding import random_generator
from tests.golden.losses import of_the_policy, of_the_ratio
from tests.slow import mostly_slow
from tests.tiny_lm import write_model
from tests.tiny_runs import TINY, part
from tests.training.test_discriminator_trainer import same_state
from tests.training.test_experiment import interrupted


def shrunk(page: str, outputs: Path, *more: str) -> dict:
    """The page with its own parts and what is asked for beside, and sizes and budgets that take a second."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        given = [*TINY, f"+experiment={page}", *more, f"outputs={outputs}", f"cache={outputs}"]
        composed = compose("config", overrides=given)
    config = OmegaConf.to_container(composed, resolve=True)
    phases = config["phases"]
    trainers = [phase["trainer"] for phase in phases.values() if phase and phase.get("trainer")]
    for trainer in trainers:
        trainer["images_per_batch"] = 8
    if phases.get("discriminator"):
        phases["discriminator"]["steps"] = 2
    for ratio in of_the_ratio(phases):
        ratio |= {"steps": 4, "check_every": 2, "patience": 0}
    for phase in of_the_policy(phases):
        phase |= {"steps": 2, "images_per_batch": 4, "validate_every": 2, "quality_floor": 0.0}
        if "most" in phase.get("gate", {}):
            phase["gate"] |= {"fewest": 1, "most": 2}
    for size in ("hidden", "embedding", "filters"):
        if size in (config.get("discriminator") or {}):
            config["discriminator"][size] = 8
        if f"leaked_{size}" in config["generator"]:
            config["generator"][f"leaked_{size}"] = 8
    return config


@pytest.mark.slow
@pytest.mark.parametrize("page", ["cgan", "shetty"])
def test_noise_is_heard_after_a_baseline_that_knew_none_was_taken_over(page, tmp_path):
    run_experiment(shrunk("mle", tmp_path), data="scenes")
    (baseline,) = tmp_path.glob("mle-scenes-*")
    run_experiment({**shrunk(page, tmp_path), "pretrained": str(baseline)}, data="scenes")
    (folder,) = tmp_path.glob(f"{page}-scenes-*")
    trained = open_run(folder)
    generator = trained.captioner.generator
    for phase in ("mle", "adversarial"):
        trained.load(phase)
        trained.captioner.eval()
        with torch.no_grad():
            image = trained.encoder(
                trained.encoder.preprocess(part("data/scenes", test=1).split("test").image(0))[None]
            )
        features = image.select(torch.zeros(1000, dtype=torch.long))
        noise = torch.randn(1000, generator.noise_size, generator=random_generator(0))
        # The words are drawn with the same random numbers: only z differs.
        heard, silent = (
            sample(generator, one, samples=1, max_length=10, rng=random_generator(1)).captions.tokens
            for one in (replace(features, noise=noise), features)
        )
        assert (heard != silent).any(1).sum() > 5, phase


OF_OTHERS = [
    f"{page} {generator}"
    for page in ("ddo", "kl_ratio", "nsc", "ppo", "residual_ebm", "scst", "seqgan", "shetty")
    for generator in ("pretrained_lm", "transformer", "updown")
]
"""A page of each kind, with generators that are not its own."""
FAST = ["ppo pretrained_lm", "scst updown", "seqgan transformer"]


@pytest.mark.parametrize("both", mostly_slow(OF_OTHERS, fast=FAST))
def test_a_page_trains_with_another_generator(both, tmp_path):
    page, generator = both.split()
    more = [f"lm.model={write_model(tmp_path / 'lm', 'gpt2')}"] if generator == "pretrained_lm" else []
    config = shrunk(page, tmp_path, f"generator={generator}", *more)
    systems = run_experiment(config, data="scenes").systems
    # A captioner of a few steps may write nothing grammatical: what is said of such captions alone has no value then.
    measured = [value for metrics in systems.values() for name, value in metrics.items() if "oracle" not in name]
    assert all(math.isfinite(value) for value in measured)
    (folder,) = tmp_path.glob(f"{page}-scenes-*")
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    of_policy = {name: phase for name, phase in config["phases"].items() if phase in of_the_policy(config["phases"])}
    for name, phase in of_policy.items():
        last = [record for record in records if record["phase"] == name and "policy/loss" in record][-1]
        own_samples = "kl_weight" in phase["objective"] or phase["objective"].get("sharpness") == 1
        assert ("policy/kl" in last) == own_samples  # which is measured on the policy's own samples
    without_captions = ("words", "discriminator", "ratio", "ratio_2")
    assert set(systems) == {name for name, phase in config["phases"].items() if phase and name not in without_captions}


@pytest.mark.slow
@pytest.mark.parametrize("page", ["actor_critic", "ppo"])
def test_a_page_whose_baseline_learns_ends_bitwise_alike_when_it_was_stopped(page, monkeypatch, tmp_path):
    whole, stopped = ({**shrunk(page, tmp_path / name), "resume": "auto"} for name in ("whole", "stopped"))
    for config in (whole, stopped):
        config["phases"]["policy_gradient"] |= {"steps": 4}
    run_experiment(whole, data="scenes")
    interrupted(stopped, monkeypatch, PolicyGradientPhase, after=1)
    run_experiment(stopped, data="scenes")
    folders = [next((tmp_path / name).glob(f"{page}-*")) for name in ("whole", "stopped")]
    states = [vars(load_state(folder / "checkpoints" / "last.pt")) for folder in folders]
    critic = states[0]["phase_state"]["objective"]["baseline"]
    updates = whole["phases"]["policy_gradient"]["objective"]["baseline"].get("updates", 1)
    assert states[0]["finished"]
    assert {own["step"].item() for own in critic["optimizer"]["state"].values()} == {4 * updates}
    assert same_state(*states)
    logs = [[json.loads(line) | {"time": 0} for line in (one / "metrics.jsonl").open()] for one in folders]
    assert logs[0] == logs[1]


@pytest.mark.slow
@pytest.mark.parametrize("generator", ["transformer", "updown"])
def test_a_generator_ends_bitwise_alike_when_it_was_stopped(generator, monkeypatch, tmp_path):
    whole, stopped = (
        {**shrunk("seqgan", tmp_path / name, f"generator={generator}"), "resume": "auto"}
        for name in ("whole", "stopped")
    )
    for config in (whole, stopped):
        config["phases"]["adversarial"] |= {"steps": 4}
    run_experiment(whole, data="scenes")
    for phase in (MaximumLikelihoodPhase, AdversarialPhase):
        interrupted(stopped, monkeypatch, phase, after=1)
    run_experiment(stopped, data="scenes")
    folders = [next((tmp_path / name).glob("seqgan-*")) for name in ("whole", "stopped")]
    states = [vars(load_state(folder / "checkpoints" / "last.pt")) for folder in folders]
    assert states[0]["finished"]
    assert same_state(*states)
    logs = [[json.loads(line) | {"time": 0} for line in (one / "metrics.jsonl").open()] for one in folders]
    assert logs[0] == logs[1]
