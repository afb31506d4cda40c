"""A run by character on made pictures with Chinese captions: it learns, and every number counts characters."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider

from gan_caption import Captioner
from gan_caption.configuration.building import read
from gan_caption.errors import UserError
from gan_caption.evaluation.settings import evaluation_from
from gan_caption.experiment import run_experiment
from gan_caption.inference.exporting import export_run
from gan_caption.inference.onnx_captioner import OnnxCaptioner
from gan_caption.inference.settings import ExportSettings
from gan_caption.reporting.results import evaluate_run
from gan_caption.score import main as score
from tests.tiny_runs import composed

pytestmark = pytest.mark.slow

COLOURS = {
    "红": (220, 30, 30), "绿": (30, 170, 60), "蓝": (40, 60, 220), "黄": (235, 215, 40), "黑": (10, 10, 10),
    "灰": (140, 140, 140),
}  # fmt: skip
SPLITS = {"train": 96, "val": 12, "test": 18}


def picture(colour: str, rng: random.Random) -> Image.Image:
    image = Image.new("RGB", (48, 48), "white")
    left, top, side = rng.randrange(4, 16), rng.randrange(4, 16), rng.randrange(22, 28)
    ImageDraw.Draw(image).rectangle((left, top, left + side, top + side), fill=COLOURS[colour])
    return image


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of pictures with `captions.jsonl`."""
    root, rng, lines = tmp_path_factory.mktemp("squares"), random.Random(0), []
    for split, count in SPLITS.items():
        for number in range(count):
            colour, name = list(COLOURS)[number % len(COLOURS)], f"{split}-{number}.png"
            picture(colour, rng).save(root / name)
            captions = [f"一个{colour}色的正方形。", f"图片里有一个{colour}色的方块", f"这是{colour}色的！"]
            lines.append(json.dumps({"image": name, "captions": captions, "split": split}, ensure_ascii=False))
    (root / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    """The folder of a run: maximum likelihood, then CIDEr-D by character as a reward."""
    outputs = tmp_path_factory.mktemp("chinese")
    config = composed(
        "+experiment=scst", "data=folder", f"data.root={photos}", "tokenizer=characters", "encoder=scene_cnn",
        "encoder.width=8", "encoder.finetune=true", "vocabulary.min_count=1", "max_length=16", "tracker=local",
        "threads=1", f"outputs={outputs}", f"cache={outputs}/cache", "size.hidden=64", "size.embedding=32",
        "size.dropout=0", "+phase@phases.words=words", "phases.words.steps=60", "phases.words.images_per_batch=16",
        "phases.words.learning_rate=0.005",
        "phases.mle.epochs=8", "phases.mle.images_per_batch=8", "phases.mle.captions_per_image=3",
        "phases.mle.learning_rate=0.005", "phases.mle.learning_rate_schedule.warmup_steps=5",
        "phases.mle.averaging=0.5", "phases.mle.validations_per_epoch=1", "phases.policy_gradient.steps=4",
        "phases.policy_gradient.validate_every=2",
        "phases.policy_gradient.images_per_batch=8", "phases.policy_gradient.quality_floor=0", "save_every=1000",
    )  # fmt: skip
    return run_experiment(config, data="squares").folder


def told(run, phase):
    return json.loads((run / f"captions_{phase}.json").read_text(encoding="utf-8"))


def references_of(photos):
    lines = map(json.loads, (photos / "captions.jsonl").read_text(encoding="utf-8").splitlines())
    return {one["image"]: one["captions"] for one in lines if one["split"] == "test"}


def apart(text: str) -> str:
    """The characters by hand: these captions have Chinese ones and two marks of punctuation."""
    return " ".join(text.strip("。！"))


def test_it_writes_chinese_without_spaces_and_has_learned(run, photos):
    rows = told(run, "mle")
    for text in [text for row in rows for text in (row["caption"], *row["samples"])]:
        assert all("\u4e00" <= sign <= "\u9fff" for sign in text)
    right = [row["caption"] in [text.strip("。！") for text in references_of(photos)[row["image_id"]]] for row in rows]
    assert sum(right) >= 15  # of 18; guessing gives 3
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert results["systems"]["mle"]["bleu_1"] > 0.85
    assert results["title"].endswith(", metrics by character")
    assert (run / "table.md").read_text(encoding="utf-8").startswith(results["title"])
    assert json.loads((run / "vocabulary.json").read_text(encoding="utf-8"))[:2] == ["的", "色"]  # in every caption


@pytest.mark.parametrize("phase", ["mle", "policy_gradient"])
def test_its_metrics_are_the_reference_tools_by_character(run, photos, phase, capsys):
    found = json.loads((run / "results.json").read_text(encoding="utf-8"))["systems"][phase]
    truth = {image: [apart(text) for text in own] for image, own in references_of(photos).items()}
    said = {row["image_id"]: [apart(row["caption"])] for row in told(run, phase)}
    assert found["cider_d"] == pytest.approx(Cider().compute_score(truth, said)[0], abs=1e-6)
    bleu = Bleu(4).compute_score(truth, said, verbose=0)[0]
    assert [found[f"bleu_{n}"] for n in (1, 2, 3, 4)] == pytest.approx(bleu, abs=1e-6)
    assert found["length"] == sum(len(own[0].split()) for own in said.values()) / len(said)
    capsys.readouterr()


def test_score_gives_the_same_numbers_of_the_file(run, photos, tmp_path, capsys):
    references = tmp_path / "references.jsonl"
    lines = [{"image_id": image, "captions": own} for image, own in references_of(photos).items()]
    references.write_text("\n".join(json.dumps(line) for line in lines))
    score([str(references), str(run / "captions_mle.json"), "--by-character", "--out", str(tmp_path / "scores.json")])
    assert ", metrics by character" in capsys.readouterr().out
    found = json.loads((tmp_path / "scores.json").read_text())["corpus"]
    wanted = json.loads((run / "results.json").read_text(encoding="utf-8"))["systems"]["mle"]
    assert {name: wanted[name] for name in found} == pytest.approx(found)
    with pytest.raises(SystemExit, match="2"):
        score([str(references), str(run / "captions_mle.json"), "--by-character", "--meteor"])
    assert "meteor reads English words" in capsys.readouterr().err


def test_evaluation_opens_it_again(run, capsys):
    settings = composed(
        f"run={run}", "split=test", "weights=mle", "curve=null", f"cache={run.parent}/cache", config_name="evaluate"
    )
    again = evaluate_run(evaluation_from(settings))["mle"]
    capsys.readouterr()
    wanted = json.loads((run / "results.json").read_text(encoding="utf-8"))["systems"]["mle"]
    assert again == pytest.approx(wanted)
    with pytest.raises(UserError, match="spice reads English words"):
        evaluate_run(evaluation_from({**settings, "java_metrics": ["spice"]}))


def test_photographs_are_captioned_by_it_and_by_its_export(run, photos, tmp_path, capsys):
    wanted = {row["image_id"]: row["caption"] for row in told(run, "mle")}
    names = sorted(wanted)
    captioned = list(Captioner.load(run, weights="mle").stream([photos / name for name in names], attention=True))
    assert [one.best.text for one in captioned] == [wanted[name] for name in names]
    for one in captioned:
        assert "".join(one.best.tokens) == one.best.text
        assert len(one.best.tokens) == len(one.best.text)
        assert len(one.best.attention) == len(one.best.text) + 1  # <eos> looked, too
    folder = export_run(
        read(
            ExportSettings,
            composed(f"run={run}", f"out={tmp_path}/onnx", "weights=mle", "check_images=8", config_name="export"),
        )
    )
    assert "CIDEr-D x 100 of these captions, metrics by character" in capsys.readouterr().out
    onnx = OnnxCaptioner(folder)
    pixels = np.stack([onnx.preprocess(Image.open(photos / name).convert("RGB")) for name in names])
    assert onnx.caption(pixels) == [wanted[name] for name in names]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "English" not in card
    assert "characters of its training captions" in card
