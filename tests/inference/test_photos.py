"""What is handed over to be captioned, and the files that are written of it: which images, by which names."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_caption import Captioner
from gan_caption.configuration.building import read
from gan_caption.configuration.command_line import read_command_line
from gan_caption.configuration.jobs import Job
from gan_caption.configuration.launching import conf_dir
from gan_caption.data.caption_files import read_results
from gan_caption.data.folder import Folder
from gan_caption.errors import UserError
from gan_caption.evaluation.comparison import choose_systems
from gan_caption.evaluation.java import java_metrics
from gan_caption.evaluation.settings import ComparisonSettings
from gan_caption.evaluation.trained import open_run
from gan_caption.inference.captioner import Caption, Captioned, Unreadable
from gan_caption.inference.captioning import caption_photos
from gan_caption.inference.output import write_captions
from gan_caption.inference.photos import Photos, find_photos
from gan_caption.inference.settings import CaptionSettings
from gan_caption.reporting.sweep import Trial, folders_of, write_summary
from gan_caption.training.folders import read_settings
from tests.shells import SHELLS, pasted
from tests.started import ended
from tests.tiny_runs import composed

ROOT = Path(__file__).parents[2]
HIDDEN = ("._a.jpg", ".hidden.png", ".ipynb_checkpoints/a-checkpoint.jpg", "deep/.DS_Store", "deep/.git/b.png")
SEEN = ("a.jpg", "b.JPEG", "deep/c.png", "deep/er/d.jfif", "e.é.webp")
OTHER = ("notes.txt", "a.jpg.bak", "jpg")
AWKWARD = "résultats, [1] (b) it's"


@pytest.fixture(scope="module")
def captioner(trained_run) -> Captioner:
    return Captioner.load(trained_run)


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in (*HIDDEN, *SEEN, *OTHER):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path, format="PNG")
    return tmp_path / "photos"


# Which images


def test_a_folder_is_captioned_as_it_is_learned_from(folder):
    """`data=folder` and `caption` take the same files of a folder."""
    wanted = sorted(folder / name for name in SEEN)
    assert sorted(find_photos(folder)) == wanted
    (folder / "captions.csv").write_text("image,caption,split\n" + "".join(f"{name},a cat,train\n" for name in SEEN))
    split = Folder(root=folder, captions=None, val_share=0.1, test_share=0.1, seed=0, skip_missing=False).split("train")
    assert sorted(item.path for item in split.items) == wanted
    assert split.notes == (), "images without captions would be told"
    assert find_photos([folder / ".hidden.png", folder / ".ipynb_checkpoints"]) == [
        folder / ".hidden.png", folder / ".ipynb_checkpoints" / "a-checkpoint.jpg",
    ], "what is named itself is meant"  # fmt: skip


def test_one_photograph_is_no_list_of_letters(captioner, photos, monkeypatch):
    monkeypatch.chdir(photos[0].parent)
    name = photos[0].name
    pixels = np.asarray(Image.open(name).convert("RGB"))
    for one in (name, Path(name), Image.open(name), pixels):
        (told,) = captioner.stream(one)
        assert told.best == captioner.caption(name).best
    assert len(list(captioner.stream(np.stack([pixels, pixels])))) == 2
    assert find_photos(name) == find_photos([name]) == find_photos(Path(name)) == [Path(name)]


@pytest.mark.parametrize("nothing", [None, 3, b"photo.jpg", {"a": 1}, ["photo.jpg"]])
def test_what_is_no_photograph_is_named(captioner, nothing):
    told = rf"^image 0: {type(nothing).__name__} is no photograph; give a path, a PIL image, or an array"
    with pytest.raises(UserError, match=told):
        captioner.caption(nothing)
    with pytest.raises(UserError, match=told):
        Photos.of([nothing])


def test_thin_images_are_refused_whatever_they_come_as():
    with pytest.raises(UserError, match=r"^image 0 cannot be read as an image: it has 0 x 0 pixels"):
        Photos.of([np.zeros((0, 0, 3), np.uint8)]).image(0)
    thin = np.zeros((1, 1000, 3), np.uint8)
    for photo in (thin, Image.fromarray(thin)):
        with pytest.raises(UserError, match=r"^image 0 cannot be read as an image: it has 1000 x 1 pixels"):
            Photos.of([photo]).image(0)


def test_one_text_is_no_list_of_letters_to_any_public_function(trained_run, tmp_path):
    assert read_settings(trained_run, allow="tests").generator.allowed == ("gan_caption.", "tests.")
    assert open_run(trained_run, allow="tests").settings.allow == ["tests"]
    assert Captioner.load(trained_run, allow="tests").trained.settings.allow == ["tests"]
    for runs in (str(trained_run), trained_run):
        assert list(choose_systems(runs, baseline="mle")) == ["mle", "seqgan"]
    with pytest.raises(UserError, match=r"java_metrics: 'meteors' is unknown"):
        java_metrics("meteors")
    assert folders_of([trained_run, "b"]) == [str(trained_run), "b"]
    with pytest.raises(UserError, match="is not the folder of a sweep"):
        folders_of(tmp_path)
    for damaged, told in (('[{"folder"', "cannot be read"), ("{}", "is no list"), ("[1]", "is no list")):
        (tmp_path / "runs.json").write_text(damaged)
        with pytest.raises(UserError, match=rf"runs\.json {told}"):
            folders_of(tmp_path)


@pytest.mark.slow
def test_caption_takes_one_path_without_brackets(trained_run, photos, tmp_path):
    shutil.copy(photos[0], tmp_path / "photo.png")
    (tmp_path / "2024").mkdir()
    shutil.copy(photos[1], tmp_path / "2024" / "a.png")
    for word, names in (("images=photo.png", ["photo.png"]), ("images=2024", ["2024/a.png"]),
                        ("images=[photo.png,2024]", ["photo.png", "2024/a.png"])):  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        told = ended("gan_caption.caption", f"run={trained_run}", word, folder=tmp_path, environment=environment)
        assert told.returncode == 0, told.stderr
        assert [line.split("\t")[0] for line in told.stdout.splitlines()] == names


def test_captions_stay_where_nothing_can_be_read(trained_run, photos, configured, tmp_path):
    def caption(photo: Path) -> str:
        asked = configured(
            f"run={trained_run}", f"images=[{photo}]", f"out={tmp_path}/told.jsonl", base=[], config_name="caption"
        )
        caption_photos(read(CaptionSettings, asked, besides=["cache"]))
        return (tmp_path / "told.jsonl").read_text()

    before = caption(photos[0])
    with pytest.raises(UserError, match=r"1 of 1 images cannot be read\n .*typo\.png"):
        caption(tmp_path / "typo.png")
    assert (tmp_path / "told.jsonl").read_text() == before


# COCO's ids


def captioned(*names: str) -> list[Captioned]:
    return [Captioned(name, (Caption("a cat", -1.0, None),)) for name in names]


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("cats/001.jpg", "dogs/001.jpg", "1"), ("001.jpg", "1.jpg", "1"), ("a.jpg", "a.png", '"a"'),
        ("COCO_val2014_000000000042.jpg", "42.jpg", "42"), ("COCO_train2014_07.jpg", "COCO_val2014_7.jpg", "7"),
        ("é/a.b.jpg", "a.b.png", '"a.b"'),
    ],
)  # fmt: skip
def test_two_images_of_one_id_are_refused_and_nothing_is_written(tmp_path, one, other, told):
    with pytest.raises(UserError) as refused:
        write_captions(tmp_path / "c.json", captioned(one, "between.jpg", other))
    assert f"{one} and {other} would both be image_id {told}: write .jsonl or .csv" in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    write_captions(tmp_path / "c.csv", captioned(one, other))


def test_ids_that_are_written_are_those_of_as_many_images_to_score(tmp_path):
    names = ["cats/001.jpg", "dogs/002.jpg", "x1.jpg", "COCO_val2014_000000000003.jpg", "1.5.jpg", "a b.jpg", "é.jpg"]
    write_captions(tmp_path / "c.json", captioned(*names))
    assert list(read_results(tmp_path / "c.json")) == ["1", "2", "x1", "3", "1.5", "a b", "é"]


@pytest.mark.slow
def test_ids_are_looked_at_before_anything_is_captioned(tmp_path, photos):
    for name in ("cats/001.png", "dogs/001.png"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(photos[0], tmp_path / name)
    asked = ("run=none", "images=[cats,dogs]", "out=c.json")
    told = ended("gan_caption.caption", *asked, folder=tmp_path, environment={"PYTHONPATH": str(ROOT)})
    assert (told.returncode, told.stdout) == (2, "")
    assert re.fullmatch(r"error: out: .*cats/001\.png and dogs/001\.png would both be image_id 1: .*\n", told.stderr)


# Commands that are printed from an awkward folder


@pytest.fixture
def awkward(trained_run, tmp_path) -> Path:
    return Path(shutil.copytree(trained_run, tmp_path / AWKWARD / "${seed} = 'a'"))


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_that_compares_a_sweep_runs_when_pasted(awkward, capsys, shell):
    trial = Trial(str(awkward), "seqgan", 0, 1.0, 0.5, "finished", 1.0)
    jobs = [Job([f"seed={seed}"], str(awkward.parent), result=asdict(trial)) for seed in (0, 1)]
    write_summary(awkward.parent, jobs)
    command = capsys.readouterr().out.rpartition("To compare the runs: ")[2].strip()
    words = pasted(command, shell)
    assert words[:2] == ["-m", "gan_caption.compare"]
    asked = read_command_line(words[2:], entry=conf_dir() / "compare.yaml")[1]
    settings = read(ComparisonSettings, composed(*asked.overrides, config_name="compare"))
    assert (settings.runs, settings.out) == (awkward.parent, awkward.parent / "report")
    assert folders_of(settings.runs) == [str(awkward)]  # two jobs of one folder are one run
    assert json.loads((awkward.parent / "runs.json").read_text())[0]["folder"] == awkward.name


@pytest.mark.parametrize("shell", SHELLS)
def test_the_word_that_takes_up_an_unfinished_run_can_be_pasted(awkward, shell):
    (awkward / "results.json").unlink()
    with pytest.raises(UserError) as refused:
        choose_systems([awkward], baseline="mle")
    (word,) = pasted("python " + str(refused.value).split("`")[1], shell)
    asked = read_command_line([word], entry=conf_dir() / "config.yaml")[1]
    assert composed(*asked.overrides)["resume"] == str(awkward)


def test_names_that_are_no_utf8_are_written_escaped(captioner, trained_run, photos, tmp_path, capsys):
    """A JSON reader of Python's gets the very name back."""
    folder = tmp_path / "photos"
    folder.mkdir()
    path = os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png")
    shutil.copy(photos[0], path)
    told = captioner.caption(path)
    written = dict.fromkeys((".jsonl", ".csv", ".json"), "")
    for ending in written:
        write_captions(tmp_path / f"c{ending}", [told])
        written[ending] = (tmp_path / f"c{ending}").read_text(encoding="utf-8")
    assert json.loads(written[".jsonl"])["image"] == path
    assert json.loads(written[".json"])[0]["image_id"] == "caf\udce9"
    assert "/caf\\udce9.png,1," in written[".csv"]
    asked = composed(f"run={trained_run}", f"images=[{folder}]", config_name="caption")
    caption_photos(read(CaptionSettings, asked))
    assert capsys.readouterr().out == f"{folder}/caf\\udce9.png\t{told.best.text}\n"


def test_captions_are_not_lost_to_a_folder_of_their_name(tmp_path):
    (tmp_path / "all.jsonl").mkdir()
    asked = composed("run=nowhere", "images=[a.jpg]", f"out={tmp_path}/all.jsonl", config_name="caption")
    with pytest.raises(UserError, match=r"^out=.*all\.jsonl: a folder has this name: give that of a file$"):
        caption_photos(read(CaptionSettings, asked))


def test_candidates_that_nothing_chooses_among_are_told(trained_run, photos, capsys):
    asked = composed(f"run={trained_run}", f"images=[{photos[0]}]", "candidates=5", config_name="caption")
    caption_photos(read(CaptionSettings, asked))
    assert "nothing chooses among candidates=5" in capsys.readouterr().err


def test_a_name_forges_no_line_and_gives_a_terminal_no_orders(trained_run, photos, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    shutil.copy(photos[0], tmp_path / "photos" / "a\nb.png\ta lie\x1b[2J 写真.png")
    asked = composed(f"run={trained_run}", f"images=[{tmp_path}/photos]", config_name="caption")
    caption_photos(read(CaptionSettings, asked))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split("\t")[0].endswith(r"/a\nb.png\ta lie\x1b[2J 写真.png")
    (tmp_path / "photos" / "no\nimage\x1b[2J.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"^1 of 2 images cannot be read; the others were captioned\n.*no\\nimage\\x1b"):
        caption_photos(read(CaptionSettings, asked))


def test_a_path_that_cannot_be_asked_after_is_a_photograph_that_cannot_be_read(captioner, photos):
    given = [photos[0], Path("x" * 300 + ".jpg"), photos[1]]
    assert find_photos(given) == given
    assert [type(one) for one in captioner.stream(given)] == [Captioned, Unreadable, Captioned]


def test_of_what_has_no_end_the_first_is_captioned(captioner, photos):
    told = captioner.stream(itertools.repeat(Image.open(photos[0])))
    expected = captioner.caption(photos[0]).best.text
    several = list(itertools.islice(told, 300))
    assert {one.best.text for one in several} == {expected}
    assert [one.name for one in several] == [f"image {row}" for row in range(300)]


@pytest.mark.parametrize("several", ["captions=2", "candidates=2 rerank.discriminator=1"])
def test_a_decoder_that_would_write_nothing_is_refused(trained_run, photos, several):
    page = composed(
        f"run={trained_run}", f"images=[{photos[0]}]", "decoding=beam", *several.split(), config_name="caption"
    )
    with pytest.raises(UserError, match=r"^decoding=\.\.\.: by .* captions are proposer="):
        caption_photos(read(CaptionSettings, page))
