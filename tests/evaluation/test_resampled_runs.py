"""A run whose last phase resamples the policy's captions, in everything that takes a run."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import torch

from gan_caption.configuration.building import read
from gan_caption.decoding.decoders import Greedy, Sampling
from gan_caption.decoding.resampling import Resampling
from gan_caption.errors import UserError
from gan_caption.evaluation.result_files import read_results
from gan_caption.evaluation.settings import evaluation_from
from gan_caption.experiment import run_experiment
from gan_caption.inference.captioner import Captioner
from gan_caption.inference.exporting import export_run
from gan_caption.inference.page import what_it_says
from gan_caption.inference.settings import ExportSettings
from gan_caption.inference.systems import load_systems
from gan_caption.modes import evaluating
from gan_caption.reporting.results import evaluate_run
from gan_caption.training.checkpoint import load_state
from gan_caption.training.folders import best_weights
from tests.tiny_runs import TINY, composed, part

RESIDUAL = [
    *TINY, "+experiment=residual_ebm", "holdout.check=0.3", "text_cnn.embedding=8", "text_cnn.filters=4",
    "discriminator_training.steps=6", "discriminator_training.images_per_batch=8", "phases.ratio.check_every=3",
    "phases.resampling.decoding.candidates=4",
]  # fmt: skip

SPLIT = part("data/scenes", train=40, val=8, test=8).split("test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("resampled")
    return run_experiment(composed(*RESIDUAL, f"outputs={place}/outputs", f"cache={place}/cache"), data="scenes").folder


def test_the_policy_and_what_resamples_it_are_two_systems_of_the_same_weights(folder):
    results = json.loads((folder / "results.json").read_text())
    assert list(results["systems"]) == ["mle", "resampling"]
    assert "greedy; resampling by resampling (judge discriminatorreward, alpha 1.0" in results["title"]
    weights = [best_weights(folder, phase).read_bytes() for phase in ("mle", "resampling")]
    assert weights[0] == weights[1]
    told = [json.loads((folder / f"captions_{phase}.json").read_text()) for phase in ("mle", "resampling")]
    assert told[0] != told[1]
    for system in results["systems"].values():
        assert 0 <= system["jsd"] <= 0.6932
    assert load_state(folder / "checkpoints" / "last.pt").networks["discriminator.scale"] != 1


def test_an_evaluation_and_its_curve_resample_as_well(folder, tmp_path):
    asked = composed(f"run={folder}", "split=test", f"cache={tmp_path}", config_name="evaluate")
    asked["curve"] = {"temperatures": [0.5], "top_p": []}
    again = evaluate_run(evaluation_from(asked))
    results = read_results(folder, folder)["systems"]
    assert again["resampling"] == pytest.approx(results["resampling"], nan_ok=True)
    assert again["mle"] == pytest.approx(results["mle"], nan_ok=True)
    (place,) = folder.glob("evaluation-test-*")
    points = [json.loads((place / f"curve_{phase}.json").read_text()) for phase in ("mle", "resampling")]
    assert points[0] != points[1]


def test_any_run_with_a_discriminator_is_resampled_by_command(folder, tmp_path):
    asked = composed(f"run={folder}", "weights=mle", "decoding=resampling", "curve=null", "split=val",
                     f"cache={tmp_path}", config_name="evaluate")  # fmt: skip
    assert list(evaluate_run(evaluation_from(asked))) == ["mle"]
    page = composed(f"run={folder}", "images=[x.png]", "decoding=resampling", config_name="caption")
    captioner = Captioner.load(folder, weights="mle", decoding=page["decoding"])
    assert isinstance(captioner.decoder, Resampling)
    told = [captioner.caption(SPLIT.image(0), seed=seed).best.text for seed in (0, 0, 1, 2, 3)]
    assert told[0] == told[1]
    assert len(set(told)) > 1


def test_the_captioner_and_the_page_decode_as_the_phase_did(folder):
    assert isinstance(Captioner.load(folder).decoder, Resampling)
    assert isinstance(Captioner.load(folder, weights="mle").decoder, Greedy)
    systems = load_systems([folder])
    assert [type(one.decoder) for one in systems.values()] == [Greedy, Resampling]


class Without:
    """A judge who lets no caption pass that has a certain word, where there is another."""

    def __init__(self, token):
        self.token = token

    def __call__(self, features, captions):
        return -1e3 * (captions.tokens == self.token).any(1).float()


def test_the_page_draws_its_samples_as_the_system_does(folder):
    policy, system = load_systems([folder]).values()
    (token,) = system.trained.tokenizer.encode("a", max_length=1)
    system.decoder = replace(system.decoder, judge=Without(token), candidates=50)

    def drawn(captioner, temperature):
        told = what_it_says("x", captioner, SPLIT.image(0), temperature=temperature, samples=8)
        (heading,) = re.findall(r"different samples(.*?)</p>", told)
        return heading, re.findall(r"<li>(.*?)<div", told)

    for temperature in (1.0, 0.5):
        heading, samples = drawn(policy, temperature)
        assert heading == f" at temperature {temperature:g}"
        assert any("a" in one.split() for one in samples)
        heading, samples = drawn(system, temperature)
        assert heading == f", each chosen among 50 at temperature {temperature:g}"
        assert samples
        assert not any("a" in one.split() for one in samples)
    assert drawn(system, 1.0)[1] != drawn(system, 0.5)[1]


def test_an_export_says_what_stays_behind(folder, capsys):
    shared = export_run(read(ExportSettings, composed(f"run={folder}", "format=safetensors", config_name="export")))
    assert "resampling chooses among its captions by a judge, who is not exported" in capsys.readouterr().out
    assert "who is not exported" in (shared / "README.md").read_text()


def test_a_run_without_a_discriminator_says_so(tmp_path):
    folder = run_experiment(
        composed(*TINY, "+experiment=mle", f"outputs={tmp_path}", f"cache={tmp_path}/cache"), data="scenes"
    ).folder
    asked = composed(f"run={folder}", "decoding=resampling", "curve=null", config_name="evaluate")
    with pytest.raises(UserError, match="this run has none"):
        evaluate_run(evaluation_from(asked))
    with pytest.raises(UserError, match="this run has none"):
        Captioner.load(folder, decoding=asked["decoding"])
    with pytest.raises(UserError, match="this run has none"):
        run_experiment(composed(*TINY, "+experiment=mle", "decoding=resampling", f"outputs={tmp_path}"), data="scenes")


@pytest.mark.parametrize("experiment", ["mle", "residual_ebm"])
def test_a_discriminator_that_has_learned_nothing_chooses_no_weights(tmp_path, experiment):
    """Its random word would choose among captions, and so among the weights of maximum likelihood."""
    asked = composed(*TINY, f"+experiment={experiment}", "discriminator=lstm", "decoding=rejection",
                     f"outputs={tmp_path}", f"cache={tmp_path}/cache")  # fmt: skip
    with pytest.raises(UserError, match="decoding: Rejection asks the run's discriminator, which has learned nothing"):
        run_experiment(asked, data="scenes")


def test_a_discriminator_that_nothing_teaches_is_told(tmp_path, capsys):
    run_experiment(
        composed(*TINY, "+experiment=mle", "discriminator=lstm", f"outputs={tmp_path}", f"cache={tmp_path}/cache"),
        data="scenes",
    )
    assert "no phase of this run teaches its discriminator, LSTMDiscriminator: it stays" in capsys.readouterr().err


def test_without_a_judge_and_a_power_it_is_the_policy(folder):
    """Resampling with equal weights draws what sampling draws, in law: its log-probabilities are the policy's."""
    captioner = Captioner.load(folder, weights="mle")
    features = captioner.encode(
        torch.stack([captioner.trained.encoder.preprocess(SPLIT.image(row)) for row in range(2)])
    )
    plain = Sampling(temperature=1.0, top_k=0, top_p=1.0)
    decoder = replace(Captioner.load(folder).decoder, judge=None)
    with evaluating(captioner.writer):
        rng = torch.Generator().manual_seed(0)
        captions = plain.several(captioner.writer, features, samples=3, max_length=10, rng=rng)
        told = [one.log_probs(captioner.writer, features, captions, max_length=10, rng=rng) for one in (plain, decoder)]
    torch.testing.assert_close(told[0], told[1])
