"""Scoring captions that another program wrote: values, file forms, and every kind of bad input."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
import threading
from contextlib import redirect_stderr

import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from gan_caption.metrics import ptb_tokenize
from gan_caption.score import main

REFERENCES = {
    1: ["A dog runs across the grass.", "The brown dog is running."],
    2: ["Two girls swim in a pool.", "Girls are swimming!"],
    3: ["A man rides a bike.", "A cyclist on a road.", "a man, a bike"],
}
RESULTS = {1: "a dog runs on grass", 2: "two girls in a pool", 3: "a man on a bike"}


def coco_references(folder, references=REFERENCES):
    rows = [
        {"id": 7 * n, "image_id": image, "caption": c} for image, own in references.items() for n, c in enumerate(own)
    ]
    path = folder / "references.json"
    path.write_text(json.dumps({"images": [{"id": image} for image in references], "annotations": rows}))
    return path


def written(folder, content, name="results.json"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def coco_results(folder, results=RESULTS):
    return written(folder, json.dumps([{"image_id": image, "caption": text} for image, text in results.items()]))


def scores_of(folder, references, results, *options):
    main([str(references), str(results), "--out", str(folder / "scores.json"), *options])
    return json.loads((folder / "scores.json").read_text())


def test_a_key_that_ends_it_is_one_line(tmp_path, monkeypatch, capsys):
    def pressed(told: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gan_caption.score._run", pressed)
    with pytest.raises(SystemExit) as ended:
        main(["references.json", "results.json"])
    assert (ended.value.code, capsys.readouterr().err) == (130, "interrupted\n")


def refusal(references, results, *options):
    with pytest.raises(SystemExit) as refused, redirect_stderr(io.StringIO()) as told:
        main([str(references), str(results), *options])
    assert refused.value.code == 2
    assert told.getvalue().startswith("error: ")
    return told.getvalue()


def test_values_are_those_of_pycocoevalcap_and_need_no_torch(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "gan_caption.score", coco_references(tmp_path)]
    told = subprocess.run(
        [*command, coco_results(tmp_path), "--out", tmp_path / "scores.json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"torch", "hydra"} & {line.rsplit("|", 1)[-1].strip() for line in told.stderr.splitlines()}
    scores = json.loads((tmp_path / "scores.json").read_text())
    # The tokens, by hand.
    references = {
        1: ["a dog runs across the grass", "the brown dog is running"],
        2: ["two girls swim in a pool", "girls are swimming !"[:-2]],
        3: ["a man rides a bike", "a cyclist on a road", "a man a bike"],
    }
    candidates = {image: [text] for image, text in RESULTS.items()}
    expected = dict(
        zip(
            ["bleu_1", "bleu_2", "bleu_3", "bleu_4"],
            Bleu(4).compute_score(references, candidates, verbose=0)[0],
            strict=True,
        )
    )
    for name, scorer in (("rouge_l", Rouge()), ("cider_d", Cider())):
        expected[name], per_image = scorer.compute_score(references, candidates)
        assert [scores["per_image"][str(image)][name] for image in RESULTS] == pytest.approx(list(per_image), abs=1e-6)
    assert {name: scores["corpus"][name] for name in expected} == pytest.approx(expected, abs=1e-6)
    for name in expected:
        low, high = scores["intervals"][name]
        assert low <= scores["corpus"][name] + 1e-9
        assert scores["corpus"][name] <= high + 1e-9 or name.startswith("bleu")
    assert "3 images, 2 to 3 references each" in told.stdout
    assert "CIDEr-D x 100" in told.stdout


def test_json_lines_ids_as_texts_and_any_order_are_the_same_to_it(tmp_path):
    expected = scores_of(tmp_path, coco_references(tmp_path), coco_results(tmp_path))["corpus"]
    expected = pytest.approx(expected)
    lines = [json.dumps({"image_id": str(image), "captions": own}) for image, own in REFERENCES.items()]
    references = written(tmp_path, "\n".join(reversed(lines)), "references.jsonl")
    lines = [json.dumps({"image_id": str(image), "caption": text}) for image, text in RESULTS.items()]
    for name in ("results.jsonl", "results.json"):
        assert scores_of(tmp_path, references, written(tmp_path, "\n".join(lines), name))["corpus"] == pytest.approx(
            expected
        )


@pytest.mark.parametrize("name", ["pipe.json", "pipe.jsonl"])
def test_a_pipe_is_read_once(tmp_path, name):
    """As of `<(zcat results.json.gz)`."""
    pipe = tmp_path / name
    os.mkfifo(pipe)
    results = [{"image_id": image, "caption": caption} for image, caption in RESULTS.items()]
    told = json.dumps(results) if name.endswith("json") else "\n".join(map(json.dumps, results))
    writer = threading.Thread(target=pipe.write_text, args=(told,))
    writer.start()
    found = scores_of(tmp_path, coco_references(tmp_path), pipe)
    writer.join()
    assert found == scores_of(tmp_path, coco_references(tmp_path), coco_results(tmp_path))


def test_samples_are_measured_beside_as_many_humans(tmp_path, capsys):
    entries = [{"image_id": i, "caption": text, "samples": [text, f"{text} here"]} for i, text in RESULTS.items()]
    scores = scores_of(tmp_path, coco_references(tmp_path), written(tmp_path, json.dumps(entries)))
    # "a dog runs on grass (here)": 6 distinct words of 11; "two girls in a pool (here)": 6 of 11; "a man on a bike": 5.
    assert scores["corpus"]["div_1"] == pytest.approx((6 / 11 + 6 / 11 + 5 / 11) / 3)
    assert scores["corpus"]["distinct_samples"] == 1
    # Two humans each: {a dog runs across the grass brown is running} of 11, {two girls swim in a pool are swimming} of
    # 9, {a man rides bike cyclist on road} of 10.
    assert scores["humans"]["div_1"] == pytest.approx((9 / 11 + 8 / 9 + 7 / 10) / 3)
    assert "2 samples each" in capsys.readouterr().out


def test_a_place_that_cannot_be_written_is_said_before_anything_is_measured(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for option in ("--out", "--save-frequencies"):
        with pytest.raises(SystemExit) as ended:
            main(["no references", "no results", option, f"{tmp_path}/file/scores.json"])
        assert ended.value.code == 2
        assert f"error: {option} {tmp_path}/file/scores.json: {tmp_path}/file is a file" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--save-frequencies"])
def test_what_is_read_is_not_written_over(tmp_path, option):
    references, results = coco_references(tmp_path), coco_results(tmp_path)
    (tmp_path / "again.json").symlink_to(results)
    before = results.read_bytes()
    for path in (references, results, tmp_path / "again.json"):
        assert "is read first, and would be written over" in refusal(references, results, option, str(path))
    assert results.read_bytes() == before


def test_a_perfect_caption_gets_the_maximum(tmp_path):
    perfect = {image: own[0] for image, own in REFERENCES.items()} | {3: "a man rides a bike ."}
    scores = scores_of(
        tmp_path, coco_references(tmp_path, {i: [o[0]] for i, o in REFERENCES.items()}), coco_results(tmp_path, perfect)
    )
    for name in ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l"):
        assert scores["corpus"][name] == pytest.approx(1, abs=1e-6)
    assert scores["corpus"]["cider_d"] == pytest.approx(10)
    assert "bleu_4" not in scores["humans"]  # nobody to compare them with


def test_images_must_be_the_same(tmp_path):
    references = coco_references(tmp_path)
    assert "results of 1 image(s) without references, the first 9" in refusal(
        references, coco_results(tmp_path, RESULTS | {9: "a"})
    )
    few = coco_results(tmp_path, {image: RESULTS[image] for image in (3, 1)})
    assert "no result for 1 of 3 images, the first 2: add them, or score the others alone with --only-given" in refusal(
        references, few
    )
    assert list(scores_of(tmp_path, references, few, "--only-given")["per_image"]) == ["1", "3"]


def test_one_image_explains_itself_and_goes_with_frequencies_of_more(tmp_path):
    references, one = coco_references(tmp_path), coco_results(tmp_path, {1: RESULTS[1]})
    told = refusal(references, one, "--only-given")
    assert "one image tells nothing" in told
    assert "--frequencies" in told
    assert "DocumentFrequencies" not in told
    whole = scores_of(tmp_path, references, coco_results(tmp_path), "--save-frequencies", str(tmp_path / "df.json"))
    one = coco_results(tmp_path, {1: RESULTS[1]})
    alone = scores_of(tmp_path, references, one, "--only-given", "--frequencies", str(tmp_path / "df.json"))
    assert alone["corpus"]["cider_d"] == pytest.approx(whole["per_image"]["1"]["cider_d"])


@pytest.mark.slow
def test_empty_captions_and_endless_ones_have_a_value(tmp_path, capsys):
    results = {1: "", 2: " . ", 3: "a bike " * 10_000}
    scores = scores_of(tmp_path, coco_references(tmp_path), coco_results(tmp_path, results))
    assert "2 without a word (they score 0)" in capsys.readouterr().out
    assert scores["per_image"]["1"]["cider_d"] == scores["per_image"]["2"]["rouge_l"] == 0
    assert all(math.isfinite(value) for value in scores["corpus"].values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"image_id": 1, "caption": "a"}, {"image_id": "1", "caption": "b"}]', "image 1 came already"),
        ('[{"image_id": 1, "caption": NaN}]', "the caption of image 1 is nan, no text"),
        ('[{"image_id": NaN, "caption": "a"}]', "image_id nan is no whole number and no text"),
        ('[{"image_id": true, "caption": "a"}]', "image_id True is no whole number"),
        ('[{"image_id": 1, "caption": null}]', "the caption of image 1 is None, no text"),
        ('[{"image_id": 1, "captions": []}]', "image 1 has no caption"),
        ('[{"image_id": 1, "captions": "a"}]', "captions of image 1 is 'a', no list of texts"),
        ('[{"image": 1, "text": "a"}]', "has no image_id and caption; wanted is a COCO annotation file"),
        ('"a"', "wanted is a COCO annotation file"),
        ("[]", "no results"),
        ("", "incomplete"),
        ('[{"image_id": 1, "capt', "incomplete"),
        ('{"image_id": 1, "caption": "a"}\n{"image_id": 2 "caption": "b"}', "line 2: no JSON"),
        ('[{"image_id": 1, "caption": "café"}]'.encode("latin1"), "not UTF-8"),
        ('{"image_id": 1, "caption": "ok"}\n{"image_id": 2, "caption": "café"}'.encode("latin1"), "line 2: not UTF-8"),
    ],
)  # fmt: skip
def test_each_bad_file_says_what_is_wrong_and_where(tmp_path, content, message):
    results = written(tmp_path, content)
    told = refusal(coco_references(tmp_path), results)
    assert message in told
    assert str(results) in told
    assert "Traceback" not in told


def test_faults_of_references_and_missing_files_say_so(tmp_path):
    assert "a reference of image 1 is empty" in refusal(coco_references(tmp_path, {1: [" "]}), coco_results(tmp_path))
    assert "no references" in refusal(coco_references(tmp_path, {}), coco_results(tmp_path))
    assert "there is no such file" in refusal(tmp_path / "none.json", coco_results(tmp_path))


def test_unequal_samples_are_refused(tmp_path):
    entries = [{"image_id": i, "captions": [text] * i} for i, text in RESULTS.items()]
    told = refusal(coco_references(tmp_path), written(tmp_path, json.dumps(entries)))
    assert "images have 0 to 3 samples: give equally many of every image" in told


def test_a_list_of_one_caption_is_that_caption(tmp_path):
    entries = [{"image_id": image, "captions": [text]} for image, text in RESULTS.items()]
    told = scores_of(tmp_path, coco_references(tmp_path), written(tmp_path, json.dumps(entries)))
    assert told == scores_of(tmp_path, coco_references(tmp_path), coco_results(tmp_path))


def test_by_character(tmp_path, capsys):
    references = {1: ["一只狗在跑。", "一只棕色的 dog"], 2: ["两个人", "两个 人在游泳"]}
    scores = scores_of(
        tmp_path, coco_references(tmp_path, references), coco_results(tmp_path, {1: "一只dog在跑", 2: "两个人"}),
        "--by-character",
    )  # fmt: skip
    assert "2 references each, metrics by character" in capsys.readouterr().out
    truth = {1: ["一 只 狗 在 跑", "一 只 棕 色 的 dog"], 2: ["两 个 人", "两 个 人 在 游 泳"]}
    said = {1: ["一 只 dog 在 跑"], 2: ["两 个 人"]}
    assert scores["corpus"]["bleu_1"] == pytest.approx(Bleu(4).compute_score(truth, said, verbose=0)[0][0], abs=1e-6)
    assert scores["corpus"]["cider_d"] == pytest.approx(Cider().compute_score(truth, said)[0], abs=1e-6)
    assert scores["corpus"]["length"] == 4


def test_equal_references_everywhere_say_why_cider_is_0(tmp_path, capsys):
    same = {image: ["a dog runs"] for image in REFERENCES}
    scores = scores_of(tmp_path, coco_references(tmp_path, same), coco_results(tmp_path))
    assert scores["corpus"]["cider_d"] == 0
    assert "note: all images have the same references" in capsys.readouterr().out
    scores_of(tmp_path, coco_references(tmp_path), coco_results(tmp_path))
    assert "note:" not in capsys.readouterr().out


def test_an_id_with_zeros_before_it_is_told_from_an_unknown_one(tmp_path):
    references = coco_references(tmp_path, {391895: ["a man"], 7: ["a dog"]})
    told = refusal(references, coco_results(tmp_path, {"000000391895": "a man", 7: "a dog"}))
    assert "000000391895" in told
    assert "the references have 391895; write the number without the zeros before it" in told
    assert "of the same split" in refusal(references, coco_results(tmp_path, {"00012": "a man", 7: "a dog"}))


def test_a_wordless_caption_scores_0_but_for_rouge_of_a_wordless_reference(tmp_path, capsys):
    scores = scores_of(
        tmp_path,
        coco_references(tmp_path, REFERENCES | {1: ["...", "A dog."]}),
        coco_results(tmp_path, RESULTS | {1: ""}),
    )
    assert scores["per_image"]["1"]["rouge_l"] == Rouge().calc_score([""], ["", "a dog"]) == 1
    assert "(they score 0; in ROUGE-L 1 where a reference has no word either)" in capsys.readouterr().out
    scores_of(tmp_path, coco_references(tmp_path), coco_results(tmp_path, RESULTS | {1: ""}))
    assert "1 without a word (they score 0)" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["一只狗在草地上跑", "犬が走っている", "สุนัขวิ่งบนหญ้า"])
def test_captions_without_spaces_are_told_of(tmp_path, capsys, text):
    references = coco_references(tmp_path, {image: [text, text + text] for image in (1, 2)} | {3: ["a dog"]})
    results = coco_results(tmp_path, {1: text, 2: text, 3: "a cat"})
    scores_of(tmp_path, references, results)
    assert "note: 6 of 8 captions and references are in a script without spaces" in capsys.readouterr().out
    scores_of(tmp_path, references, results, "--by-character")
    assert "script" not in capsys.readouterr().out


def test_nouns_of_captions_that_are_counted_by_character_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        scores_of(tmp_path, coco_references(tmp_path), coco_results(tmp_path), "--by-character", "--nouns")
    assert ended.value.code == 2
    assert "--nouns reads English words" in capsys.readouterr().err


def test_five_of_many_references_are_scored_as_people_and_it_is_said(tmp_path, capsys):
    many = {image: [f"{own[0]} {number}" for number in range(7)] for image, own in REFERENCES.items()}
    scores = scores_of(tmp_path, coco_references(tmp_path, many), coco_results(tmp_path))
    assert (
        "humans: of each image the first 5 references are scored, each against all the others"
        in capsys.readouterr().out
    )
    rounds = []
    for person in range(5):
        own = {image: [ptb_tokenize(texts)[person]] for image, texts in many.items()}
        others = {image: ptb_tokenize(texts[:person] + texts[person + 1 :]) for image, texts in many.items()}
        rounds.append(Bleu(4).compute_score(others, own, verbose=0)[0][3])
    assert scores["humans"]["bleu_4"] == pytest.approx(sum(rounds) / 5, abs=1e-6)


def test_objects_that_no_caption_names_are_null_and_a_dash(tmp_path, capsys):
    told = scores_of(tmp_path, coco_references(tmp_path), coco_results(tmp_path, dict.fromkeys(REFERENCES, "the sky")))
    assert told["corpus"]["chair_references_i"] is None
    assert told["intervals"]["chair_references_i"] == [None, None]
    (row,) = (line for line in capsys.readouterr().out.splitlines() if "objects that are not there" in line)
    assert [cell.strip() for cell in row.split("|")][2:4] == ["-", "-"]
