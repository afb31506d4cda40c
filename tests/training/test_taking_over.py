"""Runs that others are taken from: what is wrong with them is said before anything is computed, by the right key."""

import json
import shutil
from types import SimpleNamespace

import pytest

from gan_caption import Captioner, experiment
from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment
from gan_caption.training.checkpoint import load_state
from gan_caption.training.folders import best_weights, write_json
from gan_caption.training.identity import KnownData, write_data
from gan_caption.training.setup import Data, check_configuration
from gan_caption.training.taking_over import check_others
from tests.tiny_sizes import TINY, TINY_SEQGAN


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


def test_of_other_data_it_is_said_that_nobody_knows(configured, tmp_path, capsys):
    write_json(tmp_path / "config.json", configured("holdout.check=0.2", base=TINY))
    best_weights(tmp_path, "mle").parent.mkdir()
    best_weights(tmp_path, "mle").touch()
    (tmp_path / "checkpoints" / "last.pt").touch()
    write_data(tmp_path, KnownData({"train": "of other captions"}, ()))
    settings = check_configuration(configured("holdout.check=0.3", f"pretrained={tmp_path}", base=TINY))
    check_others(settings, SimpleNamespace(known=lambda: KnownData({"train": "of these"}, ())))
    assert f"pretrained={tmp_path}: it has learned from other data, and nobody knows" in capsys.readouterr().err


def test_a_schedule_without_the_phase_that_is_taken_over_is_refused(configured, tmp_path):
    run_experiment(configured("name=base", base=TINY), data="scenes")
    (base,) = (tmp_path / "outputs").glob("base-*")
    asked = configured("phases.mle=null", f"pretrained={base}", base=[*TINY_SEQGAN, "name=gan"])
    with pytest.raises(UserError, match=r"stands for the phase mle, and the schedule has none: leave phases\.mle"):
        run_experiment(asked, data="scenes")


def test_a_finished_run_answers_when_what_it_began_with_is_gone_and_a_mistake_leaves_no_folder(configured, tmp_path):
    base = run_experiment(configured("name=base", base=TINY), data="scenes").folder
    asked = [f"pretrained={base}", "resume=auto"]
    finished = run_experiment(configured(*asked, base=[*TINY_SEQGAN, "name=gan"]), data="scenes").folder
    shutil.rmtree(base)
    assert run_experiment(configured(*asked, base=[*TINY_SEQGAN, "name=gan"]), data="scenes").folder == finished
    with pytest.raises(UserError, match=r"^pretrained="):
        run_experiment(configured(asked[0], base=[*TINY_SEQGAN, "name=other"]), data="scenes")
    for mistake in ("device=gpu", "size.hidden=0", "phases.mle.epochs=0", "phases.adversarial.steps=-1"):
        with pytest.raises(UserError, match=rf"{mistake.rpartition('.')[2]}\b"):
            run_experiment(configured(mistake, "resume=auto", base=[*TINY_SEQGAN, "name=other"]), data="scenes")
    assert not list((tmp_path / "outputs").glob("other-*"))


def test_a_mistake_takes_nothing_that_a_run_has_made(configured, tmp_path):
    """A folder that somebody names, one that has finished, and one whose first steps are told of stay."""
    done = run_experiment(configured("name=done", base=TINY), data="scenes").folder
    (done / "checkpoints" / "last.pt").unlink()
    (done / "results.json").unlink()
    for asked in (f"resume={done}", "resume=auto"):
        with pytest.raises(UserError, match="device=gpu"):
            run_experiment(configured(asked, "device=gpu", "name=done", base=TINY), data="scenes")
        assert (done / "metrics.jsonl").exists()
    (done / "metrics.jsonl").unlink()
    with pytest.raises(UserError, match="device=gpu"):
        run_experiment(configured(f"resume={done}", "device=gpu", "name=done", base=TINY), data="scenes")
    assert (done / "config.json").exists()


def test_a_discriminator_that_has_learned_nothing_is_none(configured, tmp_path):
    """It is built where somebody names one, and finished runs have a checkpoint of it."""
    base = run_experiment(configured("discriminator=lstm", base=TINY), data="scenes").folder
    assert any(name.startswith("discriminator.") for name in load_state(base / "checkpoints" / "last.pt").networks)
    assert Captioner.load(base).discriminator is None
    assert not any(
        "discriminator" in name for name in json.loads((base / "results.json").read_text())["systems"]["mle"]
    )
    taken = [f"pretrained={base}", f"pretrained_discriminator={base}", f"outputs={tmp_path}/next"]
    with pytest.raises(UserError, match=r"^pretrained_discriminator=.*: no discriminator has learned anything in that"):
        run_experiment(configured(*taken, base=[*TINY, "+experiment=seqgan", "discriminator=lstm"]), data="scenes")


def test_a_table_of_validation_images_is_made_anew_once_there_are_test_images(configured, tmp_path, capsys):
    data = Data(check_configuration(configured(base=TINY)), print)
    test = data.corpus.split("test").fingerprint
    for splits, told in (({"train": "a", "val": "b"}, False), ({"train": "a", "val": "b", "test": test}, True)):
        write_data(tmp_path, KnownData(splits, ()))
        assert experiment.is_told(tmp_path, data) == told
    assert "it is evaluated anew" in capsys.readouterr().err


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
