"""The confidence of captions: fitted on a run's validation images, told beside each caption."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from gan_caption.configuration.building import read
from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.images import load_rgb
from gan_caption.data.scenes.judge import judge
from gan_caption.errors import UserError
from gan_caption.inference.calibrating import as_json, calibrate_run, criterion_of, fit_confidence, in_words
from gan_caption.inference.captioner import Captioner
from gan_caption.inference.captioning import caption_photos
from gan_caption.inference.confidence import read_curve
from gan_caption.inference.language_model import learn_ngrams
from gan_caption.inference.settings import CaptionSettings, calibration_from, language_model_from
from gan_caption.metrics.standard import STANDARD
from tests.tiny_runs import composed, part


def asked(run, *more):
    return calibration_from(composed(f"run={run}", *more, config_name="calibrate"))


@pytest.fixture
def run(trained_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained_run, folder)
    return folder


def test_the_usual_criterion_by_what_the_data_know():
    scenes = {one.name: one for one in part("data/scenes", train=2).split("train").metrics}
    usual = criterion_of({**STANDARD, **scenes}, None, None)
    assert (usual.metric.name, usual.threshold) == ("oracle_true", 1)
    assert usual.right(np.array([0.0, 1.0])).tolist() == [False, True]
    hallucination = {"chair_references_s": STANDARD["mbleu_4"]}  # of samples: no criterion
    with pytest.raises(UserError, match=r"no usual criterion: give criterion=\.\.\. threshold=\.\.\.; cider_d, "):
        criterion_of({**STANDARD, **hallucination}, None, None)
    with pytest.raises(UserError, match="Give threshold="):
        criterion_of(STANDARD, "cider_d", None)


def test_the_least_of_a_metric_where_less_is_better():
    from gan_caption.metrics.chair import chair

    criterion = criterion_of({one.name: one for one in chair()}, None, None)
    assert criterion.metric.name == "chair_references_s"
    assert criterion.right(np.array([0.0, 1.0])).tolist() == [True, False]


@pytest.mark.slow
def test_confidence_is_fitted_kept_and_told(run, photos, tmp_path, capsys):
    """The tiny run's captions are hardly ever true: what is right is here a ROUGE-L of at least .2."""
    before = Captioner.load(run)
    assert before.curve is None
    assert before.caption(photos[0]).best.confidence is None
    with pytest.raises(UserError, match="8 captions are too few, 2 a fold"):
        calibrate_run(asked(run))
    assert not list(run.glob("confidence_*")), "nothing half-written"

    split = part("data/scenes", train=40, val=8, test=8).split("val")
    told = [before.caption(split.image(row)).best for row in range(8)]
    for one in told:  # a caption of 10 words was cut and has no <eos>
        assert one.per_token == pytest.approx(one.log_prob / min(len(one.tokens) + 1, 10))
    data = ("data=scenes", "data.train=40", "data.val=60", "data.test=8")
    found = calibrate_run(asked(run, *data, "criterion=rouge_l", "threshold=0.2", "folds=2"))
    printed = capsys.readouterr().out
    assert "Right is a caption with ROUGE-L x 100: at least 20.0" in printed
    kept = json.loads((run / "confidence_adversarial.json").read_text())
    assert kept["decoding"]["_target_"].endswith("Greedy"), "the run's own"
    assert kept["images"] == 60
    assert read_curve(run, "adversarial", kept["decoding"]) == found.curve
    assert (run / "confidence_adversarial.png").stat().st_size > 1000

    def confidences(*more):
        out, images = tmp_path / "told.jsonl", ",".join(str(path) for path in photos[:3])
        page = composed(f"run={run}", f"images=[{images}]", f"out={out}", *more, config_name="caption")
        caption_photos(read(CaptionSettings, page))
        return [one.get("confidence") for line in out.read_text().splitlines() for one in json.loads(line)["captions"]]

    assert all(0 < one < 1 for one in confidences())
    for otherwise in (["captions=2"], ["rerank.discriminator=1", "candidates=2"], ["decoding=beam"]):
        assert set(confidences(*otherwise)) == {None}, "the curve is of captions that came about in another way"
    page = composed(f"run={run}", f"out={tmp_path}/ngrams.safetensors", config_name="language_model")
    learn_ngrams(language_model_from(page))
    reader = f"language_model={tmp_path}/ngrams.safetensors"
    assert confidences(reader) == confidences(), "it advises nobody"
    assert set(confidences(reader, "fusion=0.5")) == {None}
    assert "is of captions decoded otherwise: gan_caption.calibrate fits it anew" in capsys.readouterr().err
    after = Captioner.load(run)
    best = after.caption(photos[0]).best
    expected = 1 / (1 + np.exp(-(found.curve.intercept + found.curve.slope * best.per_token)))
    assert best.confidence == pytest.approx(expected)

    weights = run / "checkpoints" / "best_adversarial.safetensors"
    weights.write_bytes(b"other ones")
    assert read_curve(run, "adversarial", kept["decoding"]) is None
    assert "is of other weights" in capsys.readouterr().err
    shutil.copy(run / "checkpoints" / "best_mle.safetensors", weights)

    damaged = run / "confidence_adversarial.json"
    damaged.write_text(json.dumps({**json.loads(damaged.read_text()), "slope": 10**400}))
    with pytest.raises(UserError, match="holds no confidence"):
        read_curve(run, "adversarial", kept["decoding"])
    damaged.write_text('{"slope": "x"}')
    with pytest.raises(UserError, match="holds no confidence: delete it, or fit it again"):
        Captioner.load(run)
    assert Captioner.load(run, confidence=False).caption(photos[0]).best.confidence is None  # as it is fitted again


@pytest.mark.slow
def test_unreadable_images_end_it_or_are_left_out(run, photos, tmp_path, capsys):
    (tmp_path / "no.png").write_bytes(b"no image")
    paths = [*photos[:4], tmp_path / "no.png"]
    split = Split("val", [CaptionedImage(str(path), ("a red circle",), path) for path in paths])
    captioner, criterion = Captioner.load(run), criterion_of(STANDARD, "rouge_l", 0.2)
    with pytest.raises(UserError, match=r"no\.png.*skip_unreadable=true leaves such images out"):
        fit_confidence(captioner, split, criterion, folds=2, skip_unreadable=False)
    found = fit_confidence(captioner, split, criterion, folds=2, skip_unreadable=True)
    assert sum(count for *_, count in found.reliability.bins) == 4
    assert found.images == 4
    assert " of 4 val captions" in in_words(found, split)
    assert as_json(found, split=split, decoding={}, weights="")["images"] == 4
    assert "1 of 5 images cannot be read and are left out" in capsys.readouterr().err

    class Unfiled(Split):
        """The same without paths, as shards are."""

        def image(self, index):
            return load_rgb(paths[index])

    unfiled = Unfiled("val", [replace(item, path=None) for item in split.items])
    assert fit_confidence(captioner, unfiled, criterion, folds=2, skip_unreadable=True) == found


def test_what_is_true_of_a_scene_is_what_the_judge_finds():
    split = part("data/scenes", train=20).split("train")
    criterion = criterion_of({one.name: one for one in split.metrics}, None, None)
    captions = [item.captions[0] for item in split.items[1:]] + [split.items[0].captions[0]]
    value = split.truth([[caption] for caption in captions]).true
    expected = [judge(text, scene).true for text, scene in zip(captions, split.scenes, strict=True)]
    assert criterion.right(value.per_image).tolist() == expected
