"""Runs of a pretrained language model with random weights: they train, stop and go on, and leave what they trained."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from gan_caption import Captioner
from gan_caption.configuration.building import read
from gan_caption.errors import UserError
from gan_caption.evaluation.trained import open_run
from gan_caption.experiment import run_experiment
from gan_caption.inference.exporting import export_run
from gan_caption.inference.settings import ExportSettings
from gan_caption.inference.weights import read_weights
from gan_caption.metrics import cider_d, ptb_tokenize
from gan_caption.text.pretrained import program_order
from gan_caption.text.pretrained_models import find_model, load_causal_lm, load_tokenizer
from gan_caption.training.checkpoint import load_state
from gan_caption.training.phases.adversarial import AdversarialPhase
from gan_caption.training.phases.maximum_likelihood import MaximumLikelihoodPhase
from tests import tiny_lm
from tests.tiny_runs import TINY, TINY_SEQGAN, composed, part
from tests.training.test_discriminator_trainer import same_state
from tests.training.test_experiment import interrupted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "mapper", "tuning"),
    [("gpt2", "transformer", "lora"), ("llama", "mlp", "whole"), ("llama", "mlp", "frozen")],
)
def test_seqgan_trains_it_and_goes_on_bitwise_after_it_was_stopped(tmp_path, monkeypatch, kind, mapper, tuning):
    model = tiny_lm.write_model(tmp_path / "lm", kind)
    lm = ["generator=pretrained_lm", "generator.prefix=3", f"mapper@generator.mapper={mapper}", "max_length=20"]
    if mapper == "transformer":
        lm += ["generator.mapper.heads=2", "generator.mapper.layers=1"]
    lm += [f"lm.model={model}", f"tuning@generator.tuning={tuning}", "resume=auto", f"cache={tmp_path}/cache"]
    whole, stopped = (composed(*TINY_SEQGAN, *lm, f"outputs={tmp_path / name}") for name in ("whole", "stopped"))
    systems = run_experiment(whole, data="scenes").systems
    for phase in (MaximumLikelihoodPhase, AdversarialPhase):
        interrupted(stopped, monkeypatch, phase, after=1)
    assert repr(run_experiment(stopped, data="scenes").systems) == repr(systems)
    folders = [next((tmp_path / name).iterdir()) for name in ("whole", "stopped")]
    states = [vars(load_state(folder / "checkpoints" / "last.pt")) for folder in folders]
    assert same_state(*states)
    names = {name.split(".")[2] for name in states[0]["networks"] if name.startswith("captioner.generator.")}
    assert names == {"mapper", "_extra_state"} | ({"tuned"} if tuning != "frozen" else set())


@pytest.mark.slow
@pytest.mark.parametrize("rate", ["0.0", "1e-3"])
def test_a_tuned_model_learns_at_its_own_rate(tmp_path, rate):
    model = tiny_lm.write_model(tmp_path / "lm", "gpt2")
    config = composed(
        *TINY, "+experiment=mle", "generator=pretrained_lm", "mapper@generator.mapper=mlp", f"lm.model={model}",
        "tuning@generator.tuning=whole", f"phases.mle.encoder_learning_rate={rate}", "phases.mle.averaging=0",
        "phases.mle.optimizer.weight_decay=0", f"outputs={tmp_path}/outputs", f"cache={tmp_path}/cache",
    )  # fmt: skip
    folder = run_experiment(config, data="scenes").folder
    learned = load_state(folder / "checkpoints" / "last.pt").networks
    order = program_order(load_tokenizer(find_model(str(model))), find_model(str(model)))
    came = load_causal_lm(find_model(str(model))).get_input_embeddings().weight[list(order)]
    moved = (learned["captioner.generator.tuned.transformer/wte/weight"] - came).abs().max().item()
    assert moved == 0 if rate == "0.0" else 1e-4 < moved < 0.1


@pytest.mark.slow
def test_it_learns_from_rewards_at_its_own_rate_as_well(tmp_path):
    model = tiny_lm.write_model(tmp_path / "lm", "gpt2")
    config = composed(
        *TINY, "+experiment=scst", "generator=pretrained_lm", "mapper@generator.mapper=mlp", f"lm.model={model}",
        "tuning@generator.tuning=whole", "phases.policy_gradient.steps=2", "max_length=20",
        "phases.policy_gradient.pretrained_learning_rate=0", f"outputs={tmp_path}/outputs", f"cache={tmp_path}/cache",
        "phases.policy_gradient.optimizer.weight_decay=0", "phases.policy_gradient.quality_floor=0",
    )  # fmt: skip
    folder = run_experiment(config, data="scenes").folder
    before, after = (
        load_file(folder / "checkpoints" / f"best_{phase}.safetensors") for phase in ("mle", "policy_gradient")
    )
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("mapper" in name for name in moved)
    assert not any("tuned" in name for name in moved)
    assert any("tuned" in name for name in before)


@pytest.fixture(scope="module")
def scst(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scst")
    model = tiny_lm.write_model(folder / "lm", "llama")
    config = composed(
        *TINY, "+experiment=scst", "phases.policy_gradient.steps=3", "decoding=beam", "generator=pretrained_lm",
        "generator.mapper.heads=2", f"lm.model={model}", "max_length=20", f"outputs={folder}/outputs",
        f"cache={folder}/cache",
    )  # fmt: skip
    return run_experiment(config, data="scenes"), folder


@pytest.mark.slow
def test_its_captions_are_text_counted_by_word(scst):
    finished, _ = scst
    run = finished.folder
    rows = json.loads((run / "captions_mle.json").read_text())
    split = part("data/scenes", train=40, val=8, test=8).split("test")
    said = ptb_tokenize([row["caption"] for row in rows])
    references = [ptb_tokenize(list(item.captions)) for item in split.items]
    assert finished.systems["mle"]["cider_d"] == pytest.approx(cider_d(said, references).corpus)
    told = Captioner.load(run, weights="mle").caption(split.image(0)).best
    assert told.text == rows[0]["caption"]


@pytest.mark.slow
def test_it_is_exported_as_safetensors_without_the_model_and_says_why_not_as_onnx(scst, tmp_path):
    finished, folder = scst
    run = finished.folder
    with pytest.raises(UserError, match="give format=safetensors"):
        export_run(read(ExportSettings, composed(f"run={run}", "check_images=2", config_name="export")))
    shared = export_run(read(ExportSettings, composed(f"run={run}", "format=safetensors", config_name="export")))
    names = {name.split(".")[1] for name in load_file(shared / "weights.safetensors") if name.startswith("generator.")}
    assert names == {"mapper", "_extra_state"}
    own, other = folder / "lm", tmp_path / "elsewhere" / "lm"
    for path in shared.iterdir():
        assert str(folder).encode() not in path.read_bytes(), f"{path.name} tells where its maker's model lies"
    assert "subwords (`<eos>` counted) of the language model lm" in (shared / "README.md").read_text()
    with pytest.raises(UserError, match="model=lm"):
        read_weights(shared)
    shutil.copytree(own, other)
    both = (read_weights(shared, language_model=other), finished_run(run))
    assert same_state(*(one.captioner.generator.state_dict() for one in both))
    with pytest.raises(UserError, match="with the language model lm"):
        read_weights(shared, language_model=tiny_lm.write_model(tmp_path / "third", "llama", seed=5))


@pytest.mark.slow
def test_another_generator_of_its_tokens_is_exported_as_well(tmp_path):
    model = tiny_lm.write_model(tmp_path / "lm", "gpt2")
    config = composed(
        *TINY, "+experiment=mle", "generator=lstm", "tokenizer=pretrained", f"lm.model={model}",
        f"outputs={tmp_path}/outputs", f"cache={tmp_path}/cache",
    )  # fmt: skip
    run = run_experiment(config, data="scenes").folder
    shared = export_run(read(ExportSettings, composed(f"run={run}", "format=safetensors", config_name="export")))
    again = read_weights(shared, language_model=model)
    assert again.tokenizer.fingerprint == open_run(run).tokenizer.fingerprint


def finished_run(folder):
    run = open_run(folder)
    run.load("policy_gradient")
    return run


@pytest.mark.slow
def test_a_run_refuses_another_model_under_the_same_name(scst):
    finished, folder = scst
    tiny_lm.write_model(folder / "lm", "llama", seed=3)
    try:
        with pytest.raises(UserError, match="these weights were learned with the language model"):
            open_run(finished.folder).load("mle")
    finally:
        tiny_lm.write_model(folder / "lm", "llama")
    open_run(finished.folder).load("mle")
