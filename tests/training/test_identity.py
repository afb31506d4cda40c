"""A run is its settings and its data: not six digits of a hash, and not the places where data lie."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from gan_caption.configuration.building import plain
from gan_caption.errors import UserError
from gan_caption.evaluation.comparison import choose_systems
from gan_caption.evaluation.results import evaluation_folder
from gan_caption.evaluation.settings import EvaluationSettings, evaluation_from
from gan_caption.experiment import run_experiment
from gan_caption.reporting.results import evaluate_run
from gan_caption.training.identity import configuration_hash, same_settings
from gan_caption.training.phases.maximum_likelihood import MaximumLikelihoodPhase
from tests.tiny_runs import TINY, part

T = TypeVar("T")
TINIER = [
    "tracker=local", "threads=1", "log_every=1", "save_every=1", "max_length=10", "vocabulary.min_count=1",
    "data=folder", "encoder=scene_cnn", "encoder.width=4", "generator.hidden=8", "generator.embedding=8",
    "phases.mle.epochs=2", "phases.mle.images_per_batch=6", "phases.mle.learning_rate_schedule.warmup_steps=2",
    "phases.mle.learning_rate=1e-2",
]  # fmt: skip


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 24 pictures to learn from, 6 to validate on and 6 to test on."""
    folder = tmp_path / "photos"
    folder.mkdir()
    drawn = part("data/scenes", train=36).split("train")
    lines = ["image,caption,split"]
    for row, item in enumerate(drawn.items):
        drawn.image(row).save(folder / f"{row}.png")
        split = "train" if row < 24 else "val" if row < 30 else "test"
        lines += [f'{row}.png,"{text}",{split}' for text in item.captions]
    (folder / "captions.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def train(configured, tmp_path):
    """Train as a command would; return what the run has come to."""

    def run(*overrides: str, resume: str = "auto"):
        return run_experiment(configured(*overrides, f"resume={resume}", base=TINIER), data="folder")

    return run


@pytest.fixture
def evaluate(configured):
    """Evaluate a run on its own test images, as a command would."""

    def run(folder: Path) -> dict[str, dict[str, float]]:
        asked = [f"run={folder}", "split=test", "curve=null"]
        return evaluate_run(evaluation_from(configured(*asked, base=[], config_name="evaluate")))

    return run


def folders(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "outputs").iterdir())


def rewrite(photos: Path, split: str) -> None:
    """Change one word of one caption of a split."""
    path = photos / "captions.csv"
    lines = path.read_text().splitlines()
    row = next(index for index, line in enumerate(lines) if line.endswith(f",{split}"))
    image, rest = lines[row].split(",", 1)
    lines[row] = f'{image},"whatever {rest[1:]}'
    path.write_text("\n".join(lines) + "\n")


def of_an_earlier_version(folder: Path, config: dict) -> Path:
    """Make of a run's folder what an earlier version would have left: another name, and no word on the data."""
    (folder / "data.json").unlink()
    old = folder.with_name(f"{folder.name.rpartition('-')[0]}-{configuration_hash(config)}")
    folder.rename(old)
    return old


def twins(make: Callable[[float], T], hashed: Callable[[T], str]) -> tuple[T, T]:
    """Search two configurations whose hashes share all six digits: of 20,000 there are a dozen pairs."""
    seen: dict[str, float] = {}
    for value in (number / 1e6 for number in range(1, 20_000)):
        digits = hashed(make(value))
        if digits in seen:
            return make(seen[digits]), make(value)
        seen[digits] = value
    raise AssertionError("no two hashes are the same")


# The digits


def test_a_collision_of_the_digits_is_not_taken_for_the_same_run(configured):
    config = configured("resume=auto", base=TINY)

    def decayed(value: float) -> dict:
        phases = {**config["phases"], "mle": {**config["phases"]["mle"], "clip": value}}
        return {**config, "phases": phases}

    pair = twins(decayed, configuration_hash)
    one, other = (run_experiment(config, data="scenes").folder for config in pair)
    assert (one.name, other.name) == (one.name, f"{one.name}-2")
    for folder, asked in zip((one, other), pair, strict=True):
        kept = json.loads((folder / "config.json").read_text())
        assert kept["phases"]["mle"]["clip"] == asked["phases"]["mle"]["clip"]
    assert [run_experiment(config, data="scenes").folder for config in (*pair, pair[0])] == [one, other, one]


def test_a_collision_of_two_evaluations_overwrites_none(configured, tmp_path):
    settings = evaluation_from(configured(f"run={tmp_path}", "split=test", base=[], config_name="evaluate"))

    def sampled(value: float) -> EvaluationSettings:
        return replace(settings, validation=replace(settings.validation, temperature=value))

    one, other = twins(sampled, lambda own: evaluation_folder(own).name)
    folder = evaluation_folder(one)
    folder.symlink_to(tmp_path.parent, target_is_directory=True)  # in a run folder from elsewhere
    with pytest.raises(UserError, match="leads out of the folder"):
        evaluation_folder(one)
    folder.unlink()
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(plain(one)))
    assert evaluation_folder(one) == folder
    assert evaluation_folder(other).name == f"{folder.name}-2"


# The places


def test_the_same_data_written_otherwise_are_the_same_run(train, photos, tmp_path, monkeypatch, capsys):
    first = train(f"data.root={photos}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(photos)
    shutil.copytree(photos, tmp_path / "copy")
    shutil.copy(photos / "captions.csv", tmp_path / "mine.csv")
    for asked in (
        ["data.root=photos"], ["data.root=./photos/"], [f"data.root={tmp_path}/link"], [f"data.root={tmp_path}/copy"],
        [f"data.root={photos}", "data.captions=captions.csv"], [f"data.root={photos}", "data.captions=mine.csv"],
        [f"data.root={photos}", f"cache={tmp_path}/elsewhere"],
    ):  # fmt: skip
        again = train(*asked)
        assert again.folder == first.folder, asked
        assert repr(again.systems) == repr(first.systems)
    assert capsys.readouterr().out.count("Finished before") == 7
    assert folders(tmp_path) == [first.folder.name]
    assert train("data.root=photos", resume=str(first.folder)).folder == first.folder


def test_paths_written_otherwise_are_the_same_settings(configured, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "features").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "features")
    sizes = ["encoder.grid_size=4", "encoder.regions=2"]
    for key, chosen in (("pretrained", ["encoder=scene_cnn"]), ("encoder.root", ["encoder=precomputed", *sizes])):
        one, *others = (
            configured(*chosen, f"{key}='{path}'", base=[])
            for path in (tmp_path / "features", "features", "./features/", "~/features", "link", "a/../features")
        )
        for other in others:
            assert other != one, "as they were written"
            assert same_settings(one, other)
            assert configuration_hash(one) == configuration_hash(other)
        assert not same_settings(one, configured(*chosen, f"{key}=features2", base=[]))
    assert same_settings(configured(base=[]), configured("pretrained=null", base=[]))


def test_an_interrupted_run_goes_on_when_its_data_have_moved(train, evaluate, photos, tmp_path, monkeypatch):
    whole = train(f"data.root={photos}", f"outputs={tmp_path}/whole")
    step = MaximumLikelihoodPhase.step

    def interrupted(self: MaximumLikelihoodPhase, index: int) -> dict[str, float]:
        if index == 5:
            raise UserError("enough")
        return step(self, index)

    with monkeypatch.context() as patched:
        patched.setattr(MaximumLikelihoodPhase, "step", interrupted)
        with pytest.raises(UserError, match="enough"):
            train(f"data.root={photos}")
    photos.rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"data\.root=.*photos: there is no such folder"):
        train(f"data.root={photos}")
    ended = train(f"data.root={tmp_path}/moved")
    assert folders(tmp_path) == [ended.folder.name]
    records = [json.loads(line) for line in (ended.folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "mle/loss" in record] == list(range(1, 9)), "no step was made twice"
    assert repr(ended.systems) == repr(whole.systems)
    assert repr(evaluate(ended.folder)) == repr(whole.systems), "it is told where the data lie now"


@pytest.mark.slow
def test_changed_captions_are_another_run(train, photos, tmp_path, capsys):
    first = train(f"data.root={photos}")
    for split, number in (("train", 2), ("val", 3)):
        rewrite(photos, split)
        capsys.readouterr()
        again = train(f"data.root={photos}")
        assert again.folder.name == f"{first.folder.name}-{number}"
        told = capsys.readouterr()
        assert f"{first.folder} is not taken up, its data were others" in told.err
        assert f"the images or captions of {split} are others" in told.err
        assert "Finished before" not in told.out
        with pytest.raises(UserError, match=rf"trained on other data(.|\n)*captions of {split} are others"):
            train(f"data.root={photos}", resume=str(first.folder))
        assert train(f"data.root={photos}").folder == again.folder


def test_changed_captions_of_test_are_evaluated_anew_and_trained_no_more(train, photos, monkeypatch, capsys):
    first = train(f"data.root={photos}")
    rewrite(photos, "test")
    monkeypatch.setattr(MaximumLikelihoodPhase, "step", lambda self, index: pytest.fail("a step was made"))
    again = train(f"data.root={photos}")
    assert again.folder == first.folder
    assert again.systems["mle"]["nll_per_token"] != first.systems["mle"]["nll_per_token"]
    capsys.readouterr()
    assert repr(train(f"data.root={photos}").systems) == repr(again.systems)
    assert "Finished before" in capsys.readouterr().out


# What is said


def test_a_refusal_names_the_settings_that_differ_with_both_values(configured, train, photos):
    first = train(f"data.root={photos}")
    with pytest.raises(UserError) as refused:
        train(f"data.root={photos}", "generator.hidden=9", "phases.words=null", "seed=3", resume=str(first.folder))
    told = str(refused.value)
    assert f"resume={first.folder}: that run has another configuration" in told
    assert set(told.splitlines()[1:]) == {"  generator.hidden: 8 there, 9 here", "  seed: 0 there, 3 here"}
    assert not re.search(r"\b[0-9a-f]{6}\b", told.replace(str(first.folder), ""))
    with pytest.raises(UserError, match=r"generator\.heads: 8 there, nothing here"):
        train(f"data.root={photos}", "generator=lstm", resume=str(first.folder))


@pytest.mark.slow
def test_runs_of_earlier_versions_are_taken_up_where_their_data_lay(configured, train, evaluate, photos, tmp_path):
    first = train(f"data.root={photos}")
    old = of_an_earlier_version(first.folder, configured(f"data.root={photos}", base=TINIER))
    assert train(f"data.root={photos}").folder == old
    assert train(f"data.root={photos}", resume=str(old)).folder == old
    photos.rename(tmp_path / "moved")
    with pytest.raises(UserError) as refused:
        train(f"data.root={tmp_path}/moved", resume=str(old))
    told = str(refused.value)
    assert "an earlier version, which did not note what its data are" in told
    assert f"data.root: '{photos}' there, '{tmp_path}/moved' here" in told
    assert train(f"data.root={tmp_path}/moved").folder == first.folder, "a new one"
    (tmp_path / "moved").rename(photos)
    assert repr(evaluate(old)) == repr(first.systems)


# Comparing


@pytest.mark.slow
def test_runs_on_the_same_data_at_two_places_are_compared(train, photos, tmp_path):
    elsewhere = shutil.copytree(photos, tmp_path / "elsewhere")
    runs = [
        str(train(f"data.root={place}", f"seed={seed}", f"name={name}").folder)
        for name, seed, place in (("a", 0, photos), ("a", 1, elsewhere), ("b", 0, photos), ("b", 1, elsewhere))
    ]
    systems = choose_systems(runs, baseline="a")
    assert {name: [run.seed for run in own] for name, own in systems.items()} == {"a": [0, 1], "b": [0, 1]}
    rewrite(photos, "train")
    other = str(train(f"data.root={photos}", "name=c").folder)
    with pytest.raises(UserError, match=r"trained on different data \(the images or captions of train are others\)"):
        choose_systems([*runs, other], baseline="a")
    (Path(runs[0]) / "data.json").unlink()  # an earlier version's
    with pytest.raises(UserError, match="trained on different data: "):
        choose_systems(runs, baseline="a")
    assert list(choose_systems([runs[0], runs[2]], baseline="a")) == ["a", "b"], "by where they lie, as before"
