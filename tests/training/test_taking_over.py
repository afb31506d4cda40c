"""Runs that others are taken from: what is wrong with them is said before anything is computed, by the right key."""

import pytest

from gan_caption import experiment
from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment
from gan_caption.training.folders import best_weights, write_json
from gan_caption.training.setup import Data, check_configuration
from gan_caption.training.taking_over import check_others
from tests.tiny_sizes import TINY


def check(config: dict) -> None:
    settings = check_configuration(config)
    check_others(settings, Data(settings, print))


def test_a_run_that_has_learned_from_held_out_images_is_refused(configured, tmp_path):
    write_json(tmp_path / "config.json", configured("holdout.check=0.2", base=TINY))
    for file in (best_weights(tmp_path, "mle"), tmp_path / "checkpoints" / "last.pt"):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    for key in ("pretrained", "begin_from"):
        for same in (["holdout.check=0.2", "seed=3"], []):
            check(configured(*same, f"{key}={tmp_path}", base=TINY))
        for other in (["holdout.check=0.3"], ["holdout.check=0.2", "holdout.fold=1"]):
            with pytest.raises(UserError, match=rf"{key}=.*learned from images that this run holds out .*check=0\.2"):
                check(configured(*other, f"{key}={tmp_path}", base=TINY))


@pytest.mark.parametrize("key", ["pretrained", "pretrained_discriminator", "begin_from"])
def test_what_is_no_run_is_said_by_its_key_before_images_are_read(configured, tmp_path, monkeypatch, key):
    def nothing(*given: object, **others: object) -> None:
        raise AssertionError("images are read")

    monkeypatch.setattr(experiment, "open_features", nothing)
    there = tmp_path / "there"
    write_json(there / "config.json", configured(base=TINY))
    for folder in (best_weights(there, "mle"), there / "checkpoints" / "last.pt"):
        folder.parent.mkdir(exist_ok=True)
        folder.touch()
    others = [f"pretrained={there}"] if key == "pretrained_discriminator" else []
    with pytest.raises(UserError, match=rf"^{key}={tmp_path}/mistyped: no run folder"):
        run_experiment(configured(*others, f"{key}={tmp_path}/mistyped", base=TINY), data="scenes")


def test_what_has_not_come_as_far_is_to_be_resumed_first(configured, tmp_path):
    write_json(tmp_path / "config.json", configured(base=TINY))
    asked = configured(f"pretrained={tmp_path}", base=TINY)
    with pytest.raises(UserError, match=r"^pretrained=.*has learned nothing yet; resume it first"):
        check(asked)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.pt").touch()
    with pytest.raises(UserError, match=r"^pretrained=.*has not finished the phase mle; resume it first"):
        check(asked)
