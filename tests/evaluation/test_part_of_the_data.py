"""People have a part of a data set: one split, or some of the photographs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gan_caption.errors import UserError
from gan_caption.evaluation.settings import evaluation_from
from gan_caption.experiment import run_experiment
from gan_caption.reporting.results import evaluate_run
from tests.started import ended
from tests.tiny_runs import TINY, part

DRAWN = part("data/scenes", train=16).split("train")
SMALL = [
    "tracker=local", "threads=1", "max_length=10", "vocabulary.min_count=1", "data=folder", "encoder=scene_cnn",
    "encoder.width=4", "generator.hidden=8", "generator.embedding=8", "phases.mle.epochs=1",
    "phases.mle.images_per_batch=4", "phases.mle.learning_rate_schedule.warmup_steps=1",
]  # fmt: skip


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Of COCO the validation images and the validation annotations alone: 12 images."""
    root = tmp_path / "coco"
    (root / "val2017").mkdir(parents=True)
    (root / "annotations").mkdir()
    for number in range(1, 13):
        DRAWN.image(number).save(root / "val2017" / f"{number:012}.jpg")
    annotate(root, "val", range(1, 13))
    return root


def annotate(root: Path, split: str, numbers: range) -> None:
    """Write the annotations of images with these numbers."""
    images = [{"id": number, "file_name": f"{number:012}.jpg"} for number in numbers]
    annotations = [
        {"id": 10 * number + place, "image_id": number, "caption": text}
        for number in numbers
        for place, text in enumerate(DRAWN.items[number % 13].captions)
    ]
    content = json.dumps({"images": images, "annotations": annotations})
    (root / "annotations" / f"captions_{split}2017.json").write_text(content)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder whose captions put 8 images into train and 4 each into val and test."""
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = []
    for row, item in enumerate(DRAWN.items):
        DRAWN.image(row).save(folder / f"{row}.png")
        split = "train" if row < 8 else "val" if row < 12 else "test"
        lines.append(json.dumps({"image": f"{row}.png", "captions": item.captions, "split": split}))
    (folder / "captions.jsonl").write_text("\n".join(lines))
    return folder


def prepare(tmp_path: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    small = ("encoder=scene_cnn", "encoder.width=4", "encoder.finetune=false", f"cache={tmp_path}/cache")
    return ended("gan_caption.prepare", *small, *overrides)


@pytest.mark.slow
def test_a_run_is_evaluated_on_the_validation_images_of_coco_alone(tmp_path, configured, coco, capsys):
    finished = run_experiment(configured("+experiment=mle", base=TINY), data="scenes")
    asked = [f"run={finished.folder}", "data=coco", f"data.root={coco}", "split=val", "curve=null"]
    systems = evaluate_run(evaluation_from(configured(*asked, base=[], config_name="evaluate")))
    assert systems["mle"]["cider_d"] >= 0
    (folder,) = finished.folder.glob("evaluation-val-*")
    told = json.loads((folder / "captions_mle.json").read_text())
    assert [entry["image_id"] for entry in told] == [str(number) for number in range(1, 13)]


@pytest.mark.slow
def test_prepare_does_what_is_there_and_says_what_is_missing(tmp_path, coco):
    done = prepare(tmp_path, "data=coco", f"data.root={coco}")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["val: 12 images, 60 captions"]
    assert "train: left out (" in done.stderr
    assert "captions_train2017.json: there is no such file" in done.stderr
    assert "test: left out (" in done.stderr
    # The annotations come in one archive, the photographs in two.
    annotate(coco, "train", range(101, 113))
    done = prepare(tmp_path, "data=coco", f"data.root={coco}")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["val: 12 images, 60 captions"])
    assert "train: left out (12 of 12 images of captions_train2017.json are not in val2017/" in done.stderr


@pytest.mark.slow
def test_prepare_ends_with_an_error_where_nothing_is_there_or_something_is_faulty(tmp_path, coco):
    (coco / "annotations" / "captions_train2017.json").write_text('{"images": [')
    done = prepare(tmp_path, "data=coco", f"data.root={coco}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].endswith("breaks off after 12 bytes. Download it again")
    (coco / "annotations" / "captions_train2017.json").unlink()
    for path in (coco / "val2017").iterdir():
        path.unlink()
    done = prepare(tmp_path, "data=coco", f"data.root={coco}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("error: ")


@pytest.mark.slow
def test_data_that_have_moved_are_asked_for(tmp_path, configured, photos):
    run = run_experiment(configured("+experiment=mle", f"data.root={photos}", base=SMALL), data="folder").folder
    moved = photos.rename(tmp_path / "moved")
    asked = configured(f"run={run}", "curve=null", base=[], config_name="evaluate")
    with pytest.raises(UserError, match=r"where they have moved, give data=\.\.\. with its data\.root=\.\.\.\)$"):
        evaluate_run(evaluation_from(asked))
    there = configured(
        f"run={run}", "data=folder", f"data.root={moved}", "split=valid", base=[], config_name="evaluate"
    )
    with pytest.raises(UserError) as other:
        evaluate_run(evaluation_from(there))
    assert "have moved" not in str(other.value)


@pytest.mark.slow
def test_skip_missing_is_part_of_what_a_run_is_and_goes_for_its_evaluation(tmp_path, configured, photos, capsys):
    def train(*overrides: str):
        made = configured("+experiment=mle", f"data.root={photos}", "resume=auto", *overrides, base=SMALL)
        return run_experiment(made, data="folder").folder

    def evaluate(folder: Path, *overrides: str):
        asked = [f"run={folder}", "split=test", "curve=null", *overrides]
        return evaluate_run(evaluation_from(configured(*asked, base=[], config_name="evaluate")))

    whole = train()
    assert train("skip_missing=true") != whole
    for gone in ("3.png", "13.png"):
        (photos / gone).unlink()
    with pytest.raises(UserError, match=r"1 of 8 images .* or leave them out with skip_missing=true"):
        train()
    part = train("skip_missing=true")
    told = capsys.readouterr().err
    assert "train: 1 of 8 images of captions.jsonl (train) is not in photos/: 3.png, left out" in told
    assert "7 training images, 4 validation images" in told
    assert json.loads((part / "config.json").read_text())["skip_missing"] is True
    with pytest.raises(UserError, match="or leave them out with skip_missing=true"):
        evaluate(part)
    evaluate(part, "skip_missing=true")
    (folder,) = part.glob("evaluation-test-*")
    assert len(json.loads((folder / "captions_mle.json").read_text())) == 3
