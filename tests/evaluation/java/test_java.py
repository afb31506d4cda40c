"""METEOR against pycocoevalcap; what is missing is said; a program that hangs, breaks or answers nonsense is ended."""

from __future__ import annotations

import json
import shutil
import stat

import numpy as np
import psutil
import pytest

from gan_caption.errors import UserError
from gan_caption.evaluation import java
from gan_caption.evaluation.java import java_metrics, meteor, spice
from gan_caption.evaluation.java import machine as machine_module
from gan_caption.metrics import ptb_tokenize
from gan_caption.metrics.bootstrap import image_weights
from gan_caption.score import main

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="no Java is installed: METEOR cannot run")

CANDIDATES = [
    "a dog runs on the grass", "a man", "", "the ||| cat", "istanbul I", "two girls\u2028swim\nfast", "zebra zebra",
    "a person riding a bike", "the dogs ran across a lawn", "café olé",
]  # fmt: skip
REFERENCES = [
    ["a dog is running on grass", "the dog runs"], ["two girls swim", "a man swims"], ["a cat sits"],
    ["the cat sits", "a ||| b"], ["ISTANBUL i"], ["two girls swim fast", "girls"], ["a man"],
    ["a man rides a bicycle", "someone is riding a bike"], ["dogs run over the grass"], ["café olé"],
]  # fmt: skip


@pytest.fixture(scope="module")
def by_others():
    """METEOR as pycocoevalcap has it, of any corpus: one program for all, which takes many seconds to start."""
    from pycocoevalcap.meteor.meteor import Meteor

    def words(text):
        return " ".join(text.replace("|||", " ").split())

    scorer = Meteor()

    def of(candidates, references):
        given = {row: [words(text) for text in own] for row, own in enumerate(references)}
        return scorer.compute_score(given, {row: [words(text)] for row, text in enumerate(candidates)})

    return of


@pytest.fixture(scope="module")
def reference_values(by_others):
    return by_others(CANDIDATES, REFERENCES)


@pytest.fixture(scope="module")
def score():
    return meteor(CANDIDATES, REFERENCES)


@pytest.mark.slow
@needs_java
def test_meteor_is_that_of_pycocoevalcap(score, reference_values):
    corpus, per_image = reference_values
    assert score.corpus == pytest.approx(corpus, abs=1e-12)
    assert score.per_image == pytest.approx(per_image, abs=1e-12)
    assert score.per_image[2] == 0


@pytest.mark.slow
@needs_java
def test_meteor_of_resampled_corpora_is_what_the_program_says_of_them(score, by_others):
    once = np.ones((1, len(CANDIDATES)))
    assert score.resampled(once) == pytest.approx([score.corpus], abs=1e-12)
    assert score.resampled(np.eye(len(CANDIDATES))) == pytest.approx(score.per_image, abs=1e-12)
    weights = image_weights(len(CANDIDATES), draws=1, seed=4)
    rows = np.repeat(np.arange(len(CANDIDATES)), weights[0].astype(int))
    drawn, _ = by_others([CANDIDATES[row] for row in rows], [REFERENCES[row] for row in rows])
    assert score.resampled(weights) == pytest.approx([drawn], abs=1e-12)


@needs_java
def test_a_program_that_takes_too_long_is_stopped():
    with pytest.raises(UserError, match=r"METEOR was stopped after 0\.1 s"):
        meteor(CANDIDATES, REFERENCES, seconds=0.1)


def a_java(folder, monkeypatch, script):
    """Put a program named `java` where it is found first, on a machine that has memory for any."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 2**40})())
    (folder / "bin").mkdir()
    path = folder / "bin" / "java"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("JAVA_HOME", str(folder))


VERSION = 'if [ "$1" = "-version" ]; then echo "openjdk version \\"17.0.1\\"" >&2; exit 0; fi\n'


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no memory >&2; exit 1", "Java said: no memory"),
        ("read line; echo nonsense; read line; echo nonsense", "could not convert string to float"),
        ("while read line; do echo 0,5; done", "could not convert string to float: '0,5'"),
    ],
)
def test_a_program_that_fails_says_why(tmp_path, monkeypatch, script, message):
    a_java(tmp_path, monkeypatch, VERSION + script)
    with pytest.raises(UserError, match=r"METEOR failed") as told:
        meteor(["a"], [["a"]])
    assert message in str(told.value)


def test_a_program_that_never_answers_is_stopped(tmp_path, monkeypatch):
    a_java(tmp_path, monkeypatch, VERSION + "exec sleep 600")
    with pytest.raises(UserError, match="METEOR was stopped after 1 s"):
        meteor(["a"], [["a"]], seconds=1)


def test_what_is_missing_is_said_before_anything_runs(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"'bleurt' is unknown; there are \['meteor', 'spice'\]"):
        java_metrics(["bleurt"])
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(UserError, match="METEOR needs Java 6 or newer, and no `java` is on the path"):
            java_metrics(["meteor"])
    with monkeypatch.context() as patch:
        patch.setattr(machine_module, "find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"pip install 'gan_caption\[java\]'"):
            java_metrics(["meteor"])
    a_java(tmp_path, monkeypatch, VERSION)
    with monkeypatch.context() as patch:
        patch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 2**30})())
        with pytest.raises(UserError, match=r"METEOR takes up to 2 GB of memory, 1\.0 GB are free"):
            java_metrics(["meteor"])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('openjdk version \\"17.0.1\\"', "SPICE needs Java 8 to 15: .* is Java 17"),
        ('java version \\"1.7.0_80\\"', "SPICE needs Java 8 to 15: .* is Java 7"),
        ("hello", "does not tell its version"),
    ],
)
def test_versions_of_java_for_spice(tmp_path, monkeypatch, said, message):
    _spice_models(tmp_path, monkeypatch)
    a_java(tmp_path, monkeypatch, f'echo "{said}" >&2')
    with pytest.raises(UserError, match=message):
        java_metrics(["spice"])


def test_spice_without_its_models_says_what_to_put_where():
    folder = machine_module.folder_of("spice", what="SPICE")
    if (folder / "lib" / "stanford-corenlp-3.6.0-models.jar").exists():
        pytest.skip("the models are there")
    with pytest.raises(UserError, match=r"stanford-corenlp-3\.6\.0-models\.jar in .*spice/lib: unpack them from http"):
        spice(["a"], [["a"]])


def test_spice_reads_and_writes_the_files_of_the_program(tmp_path, monkeypatch):
    """A program with the calling convention of spice-1.0.jar: it answers in another order, and once with no number."""
    _spice_models(tmp_path, monkeypatch)
    answer = '[{"image_id": 1, "scores": {"All": {"f": null}}}, {"image_id": 0, "scores": {"All": {"f": 0.5}}}]'
    a_java(
        tmp_path, monkeypatch,
        VERSION.replace("17.0.1", "1.8.0_1")
        + f"for word in \"$@\"; do [ \"$before\" = -out ] && echo '{answer}' > \"$word\"; before=$word; done",
    )  # fmt: skip
    score = spice(["a dog", ""], [["a dog"], ["a cat"]])
    assert score.per_image.tolist() == [0.5, 0]
    assert score.corpus == 0.25


def _spice_models(folder, monkeypatch):
    spice_folder = folder / "spice"
    (spice_folder / "lib").mkdir(parents=True)
    for name in ("spice-1.0.jar", "lib/stanford-corenlp-3.6.0.jar", "lib/stanford-corenlp-3.6.0-models.jar"):
        (spice_folder / name).touch()
    monkeypatch.setitem(java.spice.__globals__, "folder_of", lambda part, what: spice_folder)


@pytest.mark.slow
@needs_java
def test_score_prints_meteor_with_its_interval_in_any_locale(tmp_path, capsys, monkeypatch, by_others):
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Duser.language=tr -Duser.country=TR -Dfile.encoding=ISO-8859-1")
    references, results, out = (tmp_path / name for name in ("references.jsonl", "results.jsonl", "scores.json"))
    told = [{"image_id": row, "caption": text} for row, own in enumerate(REFERENCES) for text in own]
    references.write_text("".join(f"{json.dumps(one)}\n" for one in told))
    said = [{"image_id": row, "caption": text} for row, text in enumerate(CANDIDATES)]
    results.write_text("".join(f"{json.dumps(one)}\n" for one in said))
    main([str(references), str(results), "--meteor", "--out", str(out)])
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "METEOR" in line]
    assert " to " in row
    scores = json.loads(out.read_text())
    corpus, per_image = by_others(ptb_tokenize(CANDIDATES), [ptb_tokenize(own) for own in REFERENCES])
    assert scores["corpus"]["meteor"] == pytest.approx(corpus, abs=1e-12)
    assert [scores["per_image"][str(row)]["meteor"] for row in range(len(CANDIDATES))] == pytest.approx(
        per_image, abs=1e-12
    )
