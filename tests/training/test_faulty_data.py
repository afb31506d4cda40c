"""What is wrong with the data of any split, or with the weights, is said before it costs anything."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment
from gan_caption.training.phases.maximum_likelihood import MaximumLikelihoodPhase
from tests.tiny_runs import composed

WORDS = ("dog", "cat", "bird", "horse", "boat", "tree", "car", "house")
SMALL = (
    "tracker=local", "threads=1", "device=cpu", "log_every=1", "size.hidden=8", "size.embedding=8",
    "phases.mle.epochs=1", "phases.mle.images_per_batch=4", "phases.mle.validations_per_epoch=1",
)  # fmt: skip


def make_photos(root, *, train: int = 8):
    """A folder of pictures with captions; `train` for training, four each for val and test."""
    root.mkdir()
    lines = []
    for split, count in {"train": train, "val": 4, "test": 4}.items():
        for row in range(count):
            name = f"{split}{row}.png"
            Image.new("RGB", (32, 32), (row * 20, 0, 0)).save(root / name)
            captions = [f"a {WORDS[row % len(WORDS)]} number {split}{row}{one}" for one in "xyz"]
            lines.append(json.dumps({"image": name, "captions": captions, "split": split}))
    (root / "captions.jsonl").write_text("\n".join(lines))
    return root


def features(photos, root, **changed):
    """A feature file an image, (2, 3); `changed` gives some other content."""
    root.mkdir()
    for path in photos.glob("*.png"):
        np.save(root / f"{path.stem}.npy", changed.get(path.stem, np.ones((2, 3), np.float32)))
    return root


def config(tmp_path, photos, *overrides):
    places = (f"data.root={photos}", f"outputs={tmp_path}/outputs", f"cache={tmp_path}/cache")
    return composed("data=folder", *SMALL, *places, *overrides)


def never(self, index):
    raise AssertionError("trained")


def test_a_run_goes_on_without_the_images_that_it_began_without(tmp_path, capsys):
    photos = make_photos(tmp_path / "photos")
    whole = (photos / "train3.png").read_bytes()
    (photos / "train3.png").write_bytes(b"no image")
    asked = config(tmp_path, photos, "encoder=scene_cnn", "encoder.width=4", "skip_unreadable=true", "resume=auto")
    run_experiment(asked, data="folder")
    assert "1 of 8 train images cannot be read, and are left out" in capsys.readouterr().err
    (folder,) = (tmp_path / "outputs").iterdir()
    (folder / "results.json").unlink()  # as if it had been stopped
    assert run_experiment(asked, data="folder").folder == folder
    (folder / "results.json").unlink()
    (photos / "train3.png").write_bytes(whole)
    with pytest.raises(
        UserError, match=r"of train, this run has learned without \['train3.png'\], and now \[\] cannot"
    ):
        run_experiment(asked, data="folder")


@pytest.mark.parametrize(
    ("image", "value"), [("train3", np.nan), ("val1", np.inf), ("test2", np.nan), ("test2", 1e300)]
)
def test_a_feature_that_is_no_number_is_named_before_training(tmp_path, monkeypatch, image, value):
    monkeypatch.setattr(MaximumLikelihoodPhase, "step", never)
    photos = make_photos(tmp_path / "photos")
    faulty = np.ones((2, 3))
    faulty[1, 2] = value
    folder = features(photos, tmp_path / "features", **{image: faulty})
    sizes = ("encoder.grid_size=3", "encoder.regions=2")
    made = config(tmp_path, photos, "+experiment=mle", "encoder=precomputed", f"encoder.root={folder}", *sizes)
    with pytest.raises(UserError) as error:
        run_experiment(made, data="folder")
    assert f"{image}.npy" in str(error.value)
    assert "1 of its 6 numbers are NaN or infinite, the first at (1, 2)" in str(error.value)


def test_an_unreadable_test_photograph_is_named_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(MaximumLikelihoodPhase, "step", never)
    photos = make_photos(tmp_path / "photos")
    (photos / "test1.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"test1\.png"):
        run_experiment(config(tmp_path, photos, "+experiment=mle", "encoder=scene_cnn"), data="folder")


def test_where_there_is_no_test_split_the_validation_images_stand_in(tmp_path, capsys):
    photos = make_photos(tmp_path / "photos")
    lines = (photos / "captions.jsonl").read_text().splitlines()
    (photos / "captions.jsonl").write_text("\n".join(line for line in lines if '"test"' not in line))
    finished = run_experiment(config(tmp_path, photos, "+experiment=mle", "encoder=scene_cnn"), data="folder")
    assert json.loads((finished.folder / "results.json").read_text())["title"].endswith("4 val images, greedy")
    assert "the validation images, which also choose the weights, stand in" in capsys.readouterr().err


def test_weights_that_overflow_in_the_last_step_are_neither_decoded_nor_saved(tmp_path, monkeypatch):
    step = MaximumLikelihoodPhase.step

    def overflowing(self, index):
        values = step(self, index)
        if index == self.total - 1:
            next(iter(self.run.generator.parameters())).data[0] = float("inf")
        return values

    monkeypatch.setattr(MaximumLikelihoodPhase, "step", overflowing)
    photos = make_photos(tmp_path / "photos")
    made = config(tmp_path, photos, "+experiment=mle", "encoder=scene_cnn", "save_every=1")
    with pytest.raises(UserError, match=r"phase mle, step 1: weights are NaN or infinite after the update, captioner"):
        run_experiment(made, data="folder")
    (folder,) = (tmp_path / "outputs").iterdir()
    monkeypatch.setattr(MaximumLikelihoodPhase, "step", step)
    finished = run_experiment(
        config(tmp_path, photos, "+experiment=mle", "encoder=scene_cnn", "save_every=1", f"resume={folder}"),
        data="folder",
    )
    assert finished.systems["mle"]["cider_d"] >= 0


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("seqgan", r"0 of 8 training images have one; it needs 2: lower vocabulary\.min_count"),
        ("relgan", r"captions without <unk>, and no training image has one: lower vocabulary"),  # to the policy as well
    ],
)
def test_captions_with_unknown_words_alone_are_said_before_training(tmp_path, monkeypatch, page, message):
    monkeypatch.setattr(MaximumLikelihoodPhase, "step", never)
    photos = make_photos(tmp_path / "photos")
    made = config(tmp_path, photos, f"+experiment={page}", "encoder=scene_cnn", "vocabulary.min_count=3")
    with pytest.raises(UserError, match=message):
        run_experiment(made, data="folder")


def test_a_small_folder_chooses_its_vocabulary_and_says_so(tmp_path, capsys):
    photos = make_photos(tmp_path / "photos")
    finished = run_experiment(config(tmp_path, photos, "+experiment=mle", "encoder=scene_cnn"), data="folder")
    assert "vocabulary.min_count=1 is chosen for 24 captions" in capsys.readouterr().err
    assert "train0x" in json.loads((finished.folder / "vocabulary.json").read_text())
