"""A run in use: what it says of photographs, and what hostile files do to it."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from gan_caption import Captioner
from gan_caption.configuration.building import read
from gan_caption.data.captions import BOS, EOS, captions_from_ids
from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.discriminators.set import SetDiscriminator
from gan_caption.encoders.scene_cnn import SceneCNN
from gan_caption.errors import UserError
from gan_caption.evaluation.settings import evaluation_from
from gan_caption.experiment import run_experiment
from gan_caption.inference.captioner import Caption, Captioned, Unreadable
from gan_caption.inference.captioning import _print, caption_photos
from gan_caption.inference.judges import chosen_judges
from gan_caption.inference.language_model import learn_ngrams
from gan_caption.inference.output import write_captions
from gan_caption.inference.photos import Photos, find_photos
from gan_caption.inference.settings import CaptionSettings, language_model_from
from gan_caption.reporting.results import evaluate_run
from gan_caption.rewards.text_judge import TextJudge, as_sentence
from gan_caption.training.folders import write_json
from tests import tiny_lm
from tests.started import ended
from tests.tiny_runs import TINY, composed


@pytest.fixture(scope="module")
def captioner(trained_run) -> Captioner:
    return Captioner.load(trained_run)


def test_photographs_get_the_captions_and_the_opinions_of_the_runs_own_evaluation(captioner, trained_run, photos):
    expected = json.loads((trained_run / "captions_adversarial.json").read_text())
    told = list(captioner.stream(photos))
    assert [one.best.text for one in told] == [row["caption"] for row in expected]
    assert [one.best.discriminator for one in told] == pytest.approx(
        [row["discriminator"] for row in expected], abs=1e-5
    )
    baseline = json.loads((trained_run / "captions_mle.json").read_text())
    told = list(Captioner.load(trained_run, weights="mle").stream(photos))
    assert [one.best.text for one in told] == [row["caption"] for row in baseline]


class Loud(SceneCNN):
    """Its features are beyond half precision."""

    def forward(self, pixels):
        return super().forward(pixels).map(lambda tensor: 1e6 * tensor)


def test_a_photograph_is_encoded_as_the_cache_keeps_it_also_where_half_precision_ends(captioner, photos, tmp_path):
    network = Loud(width=4, finetune=False)
    split = Split("test", tuple(CaptionedImage(path.name, ("a photo",), path) for path in photos))
    source = network.source(
        split, cache=tmp_path, skip_unreadable=False, device=torch.device("cpu"), progress=lambda *_: None
    )
    cached = source.features(range(len(split)), grid=True, device=torch.device("cpu"))
    loud = Captioner(
        replace(captioner.trained, encoder=network), decoder=captioner.decoder, proposer=captioner.proposer
    )
    with torch.no_grad():
        pixels = torch.stack([network.preprocess(split.image(row)) for row in range(len(split))])
        encoded = loud.encode(pixels)
    assert encoded.grid.abs().max() == 65504
    assert torch.equal(encoded.grid, cached.grid)
    assert torch.equal(encoded.pooled, cached.pooled)


def test_log_prob_is_that_of_the_words_one_by_one(captioner, photos):
    generator, vocabulary = captioner.trained.captioner.generator, captioner.trained.tokenizer
    for one in captioner.stream(photos[:3], count=4):
        pixels = captioner.trained.encoder.preprocess(Image.open(one.name).convert("RGB"))[None]
        for caption in one.captions:
            with torch.no_grad():
                state, token, total = generator.start(captioner.encode(pixels), captioner.max_length), BOS, 0.0
                for word in vocabulary.encode(caption.text, max_length=captioner.max_length):
                    logits, state = generator.step(torch.tensor([token]), state)
                    total += float(logits.log_softmax(1)[0, word - generator.first_word])
                    token = word
            assert caption.log_prob == pytest.approx(total, abs=1e-4)


SAMPLING = {
    "_target_": "gan_caption.decoding.decoders.SeveralSamples", "samples": 8, "temperature": 1.0, "top_k": 0,
    "top_p": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("count", [2, 10])
def test_without_a_proposer_it_ranks_as_the_command_line_does(trained_run, photos, configured, tmp_path, count):
    settings = configured(
        f"run={trained_run}", f"images={[str(path) for path in photos]}", f"captions={count}",
        f"out={tmp_path}/captions.jsonl", base=[], config_name="caption",
    )  # fmt: skip
    caption_photos(read(CaptionSettings, settings, besides=["cache"]))
    rows = [json.loads(line) for line in (tmp_path / "captions.jsonl").read_text().splitlines()]
    told = list(Captioner.load(trained_run).stream(photos, count=count))
    assert [[one.text for one in image.captions] for image in told] == [
        [one["caption"] for one in row["captions"]] for row in rows
    ]


def test_ten_captions_come_where_ten_are_asked_for(trained_run, photos):
    captioner = Captioner.load(trained_run)
    assert {len(one.captions) for one in captioner.stream(photos, count=10)} == {10}
    among_ten = Captioner.load(trained_run, rerank={"own": 0.0, "discriminator": 1.0}, candidates=10)
    ten = list(captioner.stream(photos, count=10))
    for given, chosen in zip(ten, among_ten.stream(photos), strict=True):
        best = max(given.captions, key=lambda one: one.discriminator)
        assert chosen.best.discriminator == pytest.approx(best.discriminator, abs=1e-6)
    with pytest.raises(UserError, match="there is one candidate, and nothing to choose"):
        list(Captioner.load(trained_run, rerank={"discriminator": 1.0}).stream(photos))
    with pytest.raises(UserError, match="candidates=2: at least captions=3"):
        list(Captioner.load(trained_run, candidates=2).stream(photos, count=3))


def test_a_discriminator_of_sets_has_no_opinion_of_a_caption_and_chooses_none(captioner, photos):
    sizes = {"vocabulary_size": len(captioner.trained.tokenizer), "pooled_size": captioner.trained.encoder.pooled_size}
    critic = SetDiscriminator(**sizes, hidden=4, embedding=4, kernels=2, kernel_size=2, dropout=0.0, instance_noise=0.0)
    told = Captioner(captioner.trained, decoder=captioner.decoder, discriminator=critic).caption(photos[0], count=3)
    assert [one.discriminator for one in told.captions] == [None] * 3
    with pytest.raises(UserError, match="judges all captions of an image together, and chooses none"):
        chosen_judges({"discriminator": 1.0}, critic, None)


def test_several_captions_differ_and_the_most_probable_comes_first(trained_run, photos):
    captioner = Captioner.load(trained_run, proposer=SAMPLING)
    told = list(captioner.stream(photos, count=5))
    assert max(len(one.captions) for one in told) == 5
    for one in told:
        assert len({caption.text for caption in one.captions}) == len(one.captions) <= 5
        values = [caption.log_prob for caption in one.captions]
        assert values == sorted(values, reverse=True)
    assert told == list(captioner.stream(photos, count=5))
    assert told != list(captioner.stream(photos, count=5, seed=1))


def resampling(*overrides):
    return composed("run=x", "decoding=resampling", *overrides, config_name="evaluate")["decoding"]


def test_several_captions_of_a_decoder_that_weighs_samples_are_drawn_as_it_draws_one(trained_run, photos):
    alone = Captioner.load(trained_run, decoding=resampling("decoding.candidates=1"))  # nothing to choose among
    assert list(alone.stream(photos, count=8)) == list(
        Captioner.load(trained_run, proposer=SAMPLING).stream(photos, count=8)
    )
    high, low = (
        Captioner.load(trained_run, decoding=resampling("decoding.candidates=30", f"decoding.alpha={alpha}"))
        for alpha in (1000, -1000)
    )
    for liked, disliked in zip(high.stream(photos, count=3), low.stream(photos, count=3), strict=True):
        least = min(caption.discriminator for caption in liked.captions)
        assert least > max(caption.discriminator for caption in disliked.captions)


def test_where_judges_choose_a_decoder_proposes_nothing(trained_run, photos):
    asked = {"rerank": {"discriminator": 1.0}, "candidates": 3}
    weighing = Captioner.load(trained_run, decoding=resampling(), **asked)
    assert list(weighing.stream(photos)) == list(Captioner.load(trained_run, **asked).stream(photos))


def test_the_discriminator_chooses_among_candidates_where_it_is_asked(trained_run, photos):
    candidates = list(Captioner.load(trained_run, proposer=SAMPLING).stream(photos, count=8))
    asked = Captioner.load(trained_run, proposer=SAMPLING, rerank={"own": 0.0, "discriminator": 1.0})
    for given, chosen in zip(candidates, asked.stream(photos), strict=True):
        best = max(given.captions, key=lambda one: one.discriminator)
        assert chosen.best.discriminator == pytest.approx(best.discriminator, abs=1e-6)
        assert len(chosen.captions) == 1


def test_weights_of_zero_change_nothing_and_a_judge_that_is_missing_is_told(trained_run, photos, tmp_path, capsys):
    ngrams = tmp_path / "ngrams.safetensors"
    learn_ngrams(language_model_from(composed(f"run={trained_run}", f"out={ngrams}", config_name="language_model")))
    plain = list(Captioner.load(trained_run, proposer=SAMPLING).stream(photos, count=3))
    nothing = {"own": 1.0, "discriminator": 0.0, "language_model": 0.0}
    same = Captioner.load(trained_run, proposer=SAMPLING, rerank=nothing, language_model=ngrams, fusion=0.0)
    assert list(same.stream(photos, count=3)) == plain
    assert f"nothing asks language_model={ngrams}: fusion=... or rerank.language_model=" in capsys.readouterr().err
    advised = Captioner.load(trained_run, language_model=ngrams, fusion=5.0)
    assert [one.best.text for one in advised.stream(photos)] != [
        one.best.text for one in Captioner.load(trained_run).stream(photos)
    ]
    for wrong in ({"fusion": 0.5}, {"rerank": {"language_model": 1.0}}):
        with pytest.raises(UserError, match="language_model="):
            Captioner.load(trained_run, **wrong)
    with pytest.raises(UserError, match=r"rerank\.human is not known"):
        Captioner.load(trained_run, rerank={"human": 1.0})
    reranked = composed("run=x", "decoding=reranked", config_name="evaluate")["decoding"]
    with pytest.raises(UserError, match="it asks a pretrained language model; n-grams and runs cannot answer"):
        Captioner.load(trained_run, decoding=reranked, language_model=ngrams)
    page = composed(f"run={trained_run}", f"out={ngrams}", "order=40", config_name="language_model")
    with pytest.raises(UserError, match="order=40"):
        learn_ngrams(language_model_from(page))


def test_a_pretrained_language_model_chooses_among_candidates(trained_run, photos, tmp_path):
    """Where it decides alone, the caption is the candidate whose sentence it finds most probable; by 30 of them."""
    folder = str(tiny_lm.write_model(tmp_path / "gpt2", "gpt2", positions=128))
    judge = TextJudge(folder, device=torch.device("cpu"))
    sampling = {**SAMPLING, "samples": 30}
    candidates = list(Captioner.load(trained_run, proposer=sampling).stream(photos, count=30))
    decides = {"own": 0.0, "language_model": 1.0}
    asked = Captioner.load(trained_run, proposer=sampling, rerank=decides, language_model=folder)
    for given, chosen in zip(candidates, asked.stream(photos), strict=True):
        texts = [caption.text for caption in given.captions]
        best = judge([as_sentence(text) for text in texts]).argmax()
        assert chosen.best.text == texts[best]
    with pytest.raises(UserError, match=r"fusion=0.5: .*tokens of its own, .*rerank\.language_model=1"):
        Captioner.load(trained_run, language_model=folder, fusion=0.5)
    reranked = composed("run=x", "decoding=reranked", config_name="evaluate")["decoding"]
    with pytest.raises(UserError, match=r"decoding.*: it asks a language model.*language_model=smollm2"):
        Captioner.load(trained_run, decoding=reranked)
    same = Captioner.load(trained_run, decoding=reranked, language_model=folder)
    assert len(list(same.stream(photos))) == len(photos)


def test_paths_images_and_arrays_are_the_same_to_it(captioner, photos):
    path = photos[0]
    texts = {
        captioner.caption(photo).best.text
        for photo in (path, str(path), Image.open(path), np.asarray(Image.open(path).convert("RGB")))
    }
    assert len(texts) == 1
    with pytest.raises(UserError, match=r"an array \(4, 4, 3\) float64 is no image"):
        captioner.caption(np.zeros((4, 4, 3)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_one_image_may_be_given_many_times(kind, tmp_path):
    """Pillow reads it at its first use, and two threads ask at once."""
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise", kind)
    truth = np.asarray(Image.open(tmp_path / "noise"))
    image = Image.open(tmp_path / "noise")
    split = Photos.of([image] * 8)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(split.image, range(8)):
            assert np.array_equal(np.asarray(found), truth)


def test_attention_is_a_distribution_and_even_over_equal_regions(captioner, photos):
    attention = captioner.caption(photos[0], attention=True).best.attention
    assert attention.sum(1) == pytest.approx(1, abs=1e-5)
    assert captioner.caption(photos[0]).best.attention is None
    generator = captioner.trained.captioner.generator
    pixels = captioner.trained.encoder.preprocess(Image.open(photos[0]).convert("RGB"))[None]
    with torch.no_grad():
        features = captioner.encode(pixels)
        even = replace(features, grid=features.grid[:, :1].expand_as(features.grid))
        looks = generator.attention_weights(even, captions_from_ids([[7, EOS]], [0]))
    assert looks.flatten().tolist() == pytest.approx([1 / looks.shape[2]] * 2 * looks.shape[2], abs=1e-6)


def test_a_run_folder_can_be_moved(captioner, trained_run, photos, tmp_path):
    shutil.copytree(trained_run, tmp_path / "elsewhere")
    assert list(Captioner.load(tmp_path / "elsewhere").stream(photos)) == list(captioner.stream(photos))


def test_what_cannot_be_read_is_told_in_its_place(captioner, photos, tmp_path):
    text, gif, huge = tmp_path / "text.jpg", tmp_path / "moving.gif", tmp_path / "huge.png"
    text.write_text("not an image")
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(gif, save_all=True, append_images=frames[1:])
    Image.new("1", (20_000, 20_000)).save(huge)
    told = list(captioner.stream([photos[0], text, gif, huge, tmp_path / "none.png", photos[1]]))
    assert [type(one) for one in told] == [Captioned, Unreadable, Captioned, Unreadable, Unreadable, Captioned]
    assert "it is no image" in told[1].reason
    assert "pixels" in told[3].reason
    assert "no such file" in told[4].reason
    # Of an animation, the first frame; batches of other sizes round otherwise.
    first = captioner.caption(frames[0]).best
    assert told[2].best.text == first.text
    assert told[2].best.log_prob == pytest.approx(first.log_prob, abs=1e-5)
    assert told[2].best.discriminator == pytest.approx(first.discriminator, abs=1e-5)


def test_a_folder_stands_for_the_images_below_it(photos, tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.png", "deep/a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert find_photos([str(tmp_path), "given.xyz"])[:2] == [tmp_path / "b.png", tmp_path / "deep" / "a.jpg"]
    assert str(find_photos([str(tmp_path), "given.xyz"])[2]) == "given.xyz"
    with pytest.raises(UserError, match="holds no image"):
        find_photos([str(tmp_path / "deep" / "..") + "/none", str(make(tmp_path / "empty"))])
    with pytest.raises(UserError, match="images is empty"):
        find_photos([])


def make(folder):
    folder.mkdir()
    return folder


IMAGES = [
    Captioned("a/COCO_val2014_000000000042.jpg", (Caption('a "red", dog', -1.5, 0.25), Caption("é", -2.5, 0.5))),
    Captioned("a/8195a43714.jpg", (Caption("", -3.0, None, np.array([[0.25, 0.75]]), ("a", "b")),)),
]


def test_captions_are_written_as_json_lines_csv_and_coco_results(tmp_path):
    write_captions(tmp_path / "c.jsonl", IMAGES)
    first, second = (json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines())
    assert first["captions"][1] == {"caption": "é", "log_prob": -2.5, "discriminator": 0.5}
    assert second["captions"] == [{"caption": "", "log_prob": -3.0, "tokens": ["a", "b"], "attention": [[0.25, 0.75]]}]
    write_captions(tmp_path / "c.csv", IMAGES)
    with (tmp_path / "c.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["caption"] for row in rows] == ['a "red", dog', "é", ""]
    assert [row["rank"] for row in rows] == ["1", "2", "1"]
    assert [row["confidence"] for row in rows] == ["", "", ""]
    write_captions(tmp_path / "sure.csv", [Captioned("a.jpg", (Caption("a dog", -1.5, None, confidence=0.25),))])
    assert (tmp_path / "sure.csv").read_text().splitlines()[1] == "a.jpg,1,a dog,-1.500000,,0.250000"
    write_captions(tmp_path / "c.json", IMAGES)
    truth = COCO()
    truth.dataset = {"images": [{"id": 42}, {"id": "8195a43714"}], "annotations": []}
    truth.createIndex()
    found = truth.loadRes(str(tmp_path / "c.json"))  # COCO's own reader
    assert [one["caption"] for one in found.loadAnns(found.getAnnIds(imgIds=[42]))] == ['a "red", dog']
    assert [one["caption"] for one in found.loadAnns(found.getAnnIds(imgIds=["8195a43714"]))] == [""]
    with pytest.raises(UserError, match="the ending says the format"):
        write_captions(tmp_path / "c.xml", IMAGES)


class Runs:
    """Unpickled, it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


def test_a_tampered_checkpoint_runs_no_code(trained_run, tmp_path):
    run, marker = tmp_path / "run", tmp_path / "executed"
    shutil.copytree(trained_run, run)
    (run / "checkpoints" / "last.pt").write_bytes(pickle.dumps(Runs(marker)))
    with pytest.raises(UserError, match="nothing in it was executed"):
        Captioner.load(run)
    torch.save({"networks": Runs(marker)}, run / "checkpoints" / "last.pt")
    with pytest.raises(UserError, match="nothing in it was executed"):
        Captioner.load(run)
    weights = run / "checkpoints" / "best_adversarial.safetensors"
    weights.write_bytes(pickle.dumps(Runs(marker)))
    with pytest.raises(UserError, match="cannot be read as weights"):
        Captioner.load(run)
    assert not marker.exists()


def test_a_configuration_that_names_foreign_code_builds_nothing(trained_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    config = json.loads((run / "config.json").read_text())
    config["generator"] = {"_target_": "os.system", "command": f"touch {tmp_path}/executed"}
    config["allow"] = ["os"]
    write_json(run / "config.json", config)
    with pytest.raises(UserError, match=r"os\.system is not allowed"):
        Captioner.load(run)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["vocabulary.json", "checkpoints/best_adversarial.safetensors", "checkpoints/last.pt"])
def test_a_file_that_leads_out_of_the_run_folder_is_not_read(name, trained_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    (run / name).unlink()
    (run / name).symlink_to(trained_run / name)
    with pytest.raises(UserError, match="leads out of the folder"):
        Captioner.load(run)


def test_a_phase_whose_name_is_a_path_is_not_followed(trained_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    config = json.loads((run / "config.json").read_text())
    config["phases"]["/../../../x"] = config["phases"]["mle"]
    write_json(run / "config.json", config)
    with pytest.raises(UserError, match=r"phases: .*x.* is no name"):
        Captioner.load(run)


def test_a_run_of_a_newer_version_says_so(configured, trained_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    write_json(run / "format.json", {"format": 2, "gan_caption": "9.0.0"})
    with pytest.raises(UserError, match=r"written by gan_caption '9\.0\.0' in format 2.*upgrade"):
        Captioner.load(run)
    with pytest.raises(UserError, match="upgrade"):
        evaluate_run(evaluation_from(configured(f"run={run}", base=[], config_name="evaluate")))


@pytest.mark.slow
def test_a_reader_that_has_read_enough_is_no_error(trained_run, photos):
    """As `| head -1` is; the rest of the captions goes nowhere."""
    words = [f"run={trained_run}", f"images=[{photos[0]},{photos[1]}]"]
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gan_caption.caption", *words]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, "Error" in done.stderr) == (0, False), done.stderr


@pytest.mark.slow
def test_what_the_terminal_cannot_show_is_escaped(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    _print(iter([Captioned("a.jpg", (Caption("une été 狗", -1.0, None),))]))
    assert written.getvalue() == "a.jpg\tune été \\u72d7\n".encode("latin-1")


def test_words_give_a_terminal_no_orders(capsys):
    """As those of a run from elsewhere might."""
    _print(iter([Captioned("a.jpg", (Caption("a \x1b[2J dog", -1.0, None),))]))
    assert capsys.readouterr().out == "a.jpg\ta \\x1b[2J dog\n"


def test_the_command_writes_what_can_be_captioned_and_says_in_its_exit_code_what_cannot(trained_run, photos, tmp_path):
    (tmp_path / "text.jpg").write_text("not an image")
    out = tmp_path / "captions.jsonl"
    command = ("gan_caption.caption", f"run={trained_run}", f"out={out}")
    done = ended(*command, f"images=[{photos[0]},{tmp_path}]")
    assert done.returncode == 2
    assert "1 of 2 images cannot be read; the others were captioned" in done.stderr
    assert [json.loads(line)["image"] for line in out.read_text().splitlines()] == [str(photos[0])]
    assert ended(*command, f"images=[{photos[1]}]").returncode == 0


def test_settings_that_leave_nothing_to_choose_are_told_before_anything_is_loaded():
    for overrides, message in (
        (["captions=3", "candidates=2"], "candidates=2: at least captions=3"),
        (["rerank.discriminator=1"], "there is one candidate"),
        (["out=captions.txt"], "the ending says the format"),
        ([f"out={__file__}/captions.jsonl"], "test_captioner.py is a file, and no folder"),
        (["attention=true", "out=captions.csv"], "attention=true: .jsonl alone tells"),
        (["captions=2", "rerank.own=-1"], "rerank.own=...: a weight beside those of judges"),
    ):
        settings = composed("run=nowhere", "images=[a.jpg]", *overrides, config_name="caption")
        with pytest.raises(UserError, match=message):
            caption_photos(read(CaptionSettings, settings))


def test_attention_of_a_captioner_that_has_none_is_refused(configured, photos, tmp_path):
    asked = configured("+experiment=mle", "generator=lstm", "phases.mle.epochs=1", base=TINY)
    run = run_experiment(asked, data="scenes").folder
    wanted = (f"run={run}", f"images=[{photos[0]}]", f"out={tmp_path}/said.jsonl", "attention=true")
    with pytest.raises(UserError, match="attends to no regions"):
        caption_photos(read(CaptionSettings, composed(*wanted, config_name="caption")))


def test_a_run_of_before_tokenizers_were_a_choice_opens(captioner, trained_run, photos, tmp_path):
    old = shutil.copytree(trained_run, tmp_path / "old")
    config = json.loads((old / "config.json").read_text())
    del config["tokenizer"]
    write_json(old / "config.json", config)
    wanted = [one.best.text for one in captioner.stream(photos)]
    assert [one.best.text for one in Captioner.load(old).stream(photos)] == wanted


def test_a_run_of_before_noise_had_laws_opens(captioner, trained_run, photos, tmp_path):
    old = shutil.copytree(trained_run, tmp_path / "old")
    config = json.loads((old / "config.json").read_text())
    del config["generator"]["noise_law"]
    write_json(old / "config.json", config)
    wanted = [one.best.text for one in captioner.stream(photos)]
    assert [one.best.text for one in Captioner.load(old).stream(photos)] == wanted
