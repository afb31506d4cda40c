"""The systems of several real runs on one page: which there are, what they are called, and that each says its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gan_caption.configuration.building import Part
from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment
from gan_caption.inference.captioner import Captioner
from gan_caption.inference.systems import load_systems
from gan_caption.training.folders import write_json
from tests import tiny_lm
from tests.tiny_runs import TINY, composed

BASELINE = "maximum likelihood (the baseline)"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, trained_run):
    """Trains a tiny run."""
    home = tmp_path_factory.mktemp("systems")

    def train(*overrides: str) -> Path:
        places = (f"outputs={home}/outputs", f"cache={home}/cache")
        return run_experiment(composed(*TINY, *overrides, *places), data="scenes").folder

    return train


@pytest.fixture(scope="module")
def scst_run(trained, trained_run) -> Path:
    """A run that began with the baseline of `trained_run`."""
    small = ("steps=2", "validate_every=1", "images_per_batch=4", "quality_floor=0")
    sizes = (f"phases.policy_gradient.{one}" for one in small)
    return trained("+experiment=scst", f"pretrained={trained_run}", *sizes)


@pytest.fixture(scope="module")
def letters_run(trained) -> Path:
    """An LSTM that writes characters and sees with another encoder."""
    return trained("+experiment=mle", "generator=lstm", "tokenizer=characters", "encoder.width=12", "max_length=20")


@pytest.fixture(scope="module")
def lm_run(trained, tmp_path_factory) -> Path:
    """A pretrained language model that reads the image."""
    model = tiny_lm.write_model(tmp_path_factory.mktemp("lm"), "gpt2")
    return trained("+experiment=mle", "generator=pretrained_lm", "mapper@generator.mapper=mlp", f"lm.model={model}",
                   "max_length=20")  # fmt: skip


def changed(run: Path, folder: Path, **settings) -> Path:
    """Copy a run, as if it had been started with other settings and had come to the same."""
    shutil.copytree(run, folder)
    write_json(folder / "config.json", json.loads((folder / "config.json").read_text()) | settings)
    return folder


def said(folder: Path, phase: str) -> list[str]:
    """What the run's own evaluation of its test images wrote."""
    return [row["caption"] for row in json.loads((folder / f"captions_{phase}.json").read_text())]


def says(captioner: Captioner, photos: list[Path]) -> list[str]:
    return [one.best.text for one in captioner.stream(photos)]


def test_a_baseline_that_runs_share_is_shown_once(trained_run, scst_run, photos):
    systems = load_systems([trained_run, scst_run], device="cpu")
    assert list(systems) == [BASELINE, "seqgan (adversarial)", "scst (policy_gradient)"]
    wanted = [said(trained_run, "mle"), said(trained_run, "adversarial"), said(scst_run, "policy_gradient")]
    assert [says(one, photos) for one in systems.values()] == wanted
    systems = load_systems([scst_run, trained_run], device="cpu")
    assert list(systems) == [BASELINE, "scst (policy_gradient)", "seqgan (adversarial)"]


def test_runs_of_one_page_with_other_parts_are_told_apart_and_each_speaks_its_own_language(
    trained_run, letters_run, lm_run, photos
):
    systems = load_systems([letters_run, lm_run, trained_run], device="cpu")
    assert list(systems) == [
        "mle tokenizer=CharacterTokenizer encoder.width=12 generator=LSTMGenerator (maximum likelihood)",
        "mle tokenizer=PretrainedTokenizer encoder.width=8 generator=PretrainedLMGenerator (maximum likelihood)",
        "seqgan (maximum likelihood)", "seqgan (adversarial)",
    ]  # fmt: skip
    wanted = [said(letters_run, "mle"), said(lm_run, "mle"), said(trained_run, "mle"), said(trained_run, "adversarial")]
    assert [says(one, photos) for one in systems.values()] == wanted


def test_runs_that_share_a_baseline_are_named_beside_it_where_there_are_several(
    trained_run, scst_run, letters_run
):  # fmt: skip
    names = list(load_systems([trained_run, letters_run, scst_run], device="cpu"))
    assert names == [
        "seqgan, scst (maximum likelihood)", "seqgan (adversarial)", "mle (maximum likelihood)",
        "scst (policy_gradient)",
    ]  # fmt: skip


def test_the_same_weights_are_two_baselines_where_they_do_not_write_the_same(trained_run, tmp_path):
    seeds = [trained_run, changed(trained_run, tmp_path / "seed", seed=1)]
    assert list(load_systems(seeds, device="cpu")) == [
        BASELINE, "seqgan seed=0 (adversarial)", "seqgan seed=1 (adversarial)",
    ]  # fmt: skip
    beam = composed("decoding=beam")["decoding"]
    for index, other in enumerate(({"decoding": beam}, {"max_length": 5})):
        runs = [trained_run, changed(trained_run, tmp_path / str(index), name="other", **other)]
        assert list(load_systems(runs, device="cpu"))[::2] == [
            "seqgan (maximum likelihood)", "other (maximum likelihood)",
        ]  # fmt: skip
        if "decoding" in other:
            assert BASELINE in load_systems(runs, device="cpu", decoding=Part(beam, "decoding"))
    judged = Part(composed("decoding=resampling")["decoding"], "decoding")  # by each run's own discriminator
    assert len(load_systems(seeds, device="cpu", decoding=judged)) == 4


def test_runs_that_cannot_be_shown(trained_run, tmp_path):
    with pytest.raises(UserError, match=r"two runs of seqgan have the same seed \(0\): give one of them"):
        load_systems([trained_run, trained_run])
    with pytest.raises(UserError, match=r"nowhere: no run folder"):
        load_systems([trained_run, tmp_path / "nowhere"])
    young = changed(trained_run, tmp_path / "young", seed=1)
    shutil.rmtree(young / "checkpoints")
    with pytest.raises(UserError, match="young: no phase has validated yet"):
        load_systems([trained_run, young])
