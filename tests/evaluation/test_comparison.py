"""Comparing runs: which of them are one system, and the report of real ones."""

from __future__ import annotations

import csv
import errno
import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from gan_caption.configuration.building import read
from gan_caption.configuration.settings import settings_from
from gan_caption.errors import UserError
from gan_caption.evaluation.comparison import check_networks, choose_systems, comparable, name_runs, run_tokenizers
from gan_caption.evaluation.results import decoder_name
from gan_caption.evaluation.settings import ComparisonSettings
from gan_caption.experiment import run_experiment
from gan_caption.metrics.standard import catalogue
from gan_caption.reporting.report import PAGE, compare_runs
from gan_caption.text.words import WordTokenizer
from gan_caption.training.folders import read_config
from tests.tiny_runs import TINY, composed


def made_run(folder: Path, *, name="mle", seed=0, data="scenes", finished=True, phases=("mle",), weights=b"",
             **settings) -> str:  # fmt: skip
    """A folder that looks like a run's from outside."""
    config = {
        **composed(), "name": name, "seed": seed, "data": {"_target_": "data.of.Mine", "root": data},
        "phases": {key: {"_target_": "phases.of.Mine"} for key in phases}, **settings,
    }  # fmt: skip
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    for phase in phases:
        (folder / "checkpoints" / f"best_{phase}.safetensors").write_bytes(weights)
    if finished:
        (folder / "results.json").write_text("{}")
    return str(folder)


GAN = {"name": "seqgan", "phases": ("mle", "discriminator", "adversarial")}


def test_runs_that_differ_in_their_seed_are_one_system(tmp_path):
    runs = [made_run(tmp_path / f"gan{seed}", seed=seed, pretrained=f"base{seed}", **GAN) for seed in (1, 0)]
    runs += [made_run(tmp_path / f"mle{seed}", seed=seed, pretrained=None, outputs=str(seed)) for seed in (0, 1, 2)]
    systems = choose_systems(runs, baseline="mle")
    assert list(systems) == ["mle", "seqgan"]
    assert [(run.seed, run.phase) for run in systems["mle"]] == [(0, "mle"), (1, "mle")], "only seeds that all have"
    assert [(run.seed, run.phase) for run in systems["seqgan"]] == [(0, "adversarial"), (1, "adversarial")]


def test_who_left_no_healthy_weights_takes_part_with_its_baseline_and_is_told(tmp_path, capsys):
    seqgan = composed("+experiment=seqgan")["phases"]
    runs = [Path(made_run(tmp_path / f"gan{seed}", seed=seed, **GAN)) for seed in (0, 1)]
    for run in runs:
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps({**config, "phases": seqgan}))
        (run / "checkpoints" / "best_discriminator.safetensors").unlink()
    (runs[1] / "checkpoints" / "best_adversarial.safetensors").unlink()
    told = choose_systems(runs, baseline="mle")["seqgan"]
    assert [(run.phase, run.lost) for run in told] == [("adversarial", None), ("mle", "adversarial")]
    assert (
        "gan1: its phase adversarial left no healthy weights, so that those of mle take part" in capsys.readouterr().err
    )


def test_without_runs_of_the_baseline_it_is_what_the_others_began_with(tmp_path):
    runs = [made_run(tmp_path / f"gan{seed}", seed=seed, **GAN) for seed in (0, 1)]
    systems = choose_systems(runs, baseline="mle")
    assert [(run.folder.name, run.phase) for run in systems["mle"]] == [("gan0", "mle"), ("gan1", "mle")]


@pytest.mark.parametrize("order", [1, -1])
def test_a_baseline_in_common_is_sampled_at_one_temperature(tmp_path, order):
    cold = {**composed()["validation"], "temperature": 0.7}
    runs = [made_run(tmp_path / "gan", **GAN), made_run(tmp_path / "other", **{**GAN, "name": "nsc"}, validation=cold)]
    with pytest.raises(UserError, match=r"at temperatures of their own .* give validation\.temperature=1 for all"):
        choose_systems(runs[::order], baseline="mle")
    assert {*choose_systems(runs, baseline="mle", temperature=1.0)} == {"mle", "seqgan", "nsc"}
    mle = made_run(tmp_path / "mle", pretrained=None)
    assert {*choose_systems([*runs, mle], baseline="mle")} == {"mle", "seqgan", "nsc"}


@pytest.mark.parametrize("order", [1, -1])
def test_runs_that_began_with_other_weights_have_no_baseline_in_common(tmp_path, order):
    """Neither may be the other's baseline, in whichever order they are given; a run of their own may."""
    runs = [made_run(tmp_path / "gan", **GAN), made_run(tmp_path / "other", **{**GAN, "name": "shetty"})]
    (tmp_path / "other" / "checkpoints" / "best_mle.safetensors").write_bytes(b"noisy")
    with pytest.raises(UserError, match=r"did not begin with the same .*\+experiment=mle.* against= one of .*seqgan"):
        choose_systems(runs[::order], baseline="mle")
    assert list(choose_systems(runs, baseline="seqgan")) == ["seqgan", "shetty"]
    mle = made_run(tmp_path / "mle", pretrained=None)
    assert list(choose_systems([*runs, mle], baseline="mle")) == ["mle", "seqgan", "shetty"]


def test_systems_of_one_method_are_named_by_what_differs(tmp_path):
    runs = [made_run(tmp_path / str(size), **GAN, generator={"_target_": "m.A", "hidden": size}) for size in (64, 512)]
    names = ["mle", "seqgan generator.hidden=64", "seqgan generator.hidden=512"]
    assert list(choose_systems(runs, baseline="mle")) == names


def test_runs_that_a_sweep_varied_in_what_they_do_not_read_are_one(tmp_path, capsys):
    """`adversarial.steps` varied for seqgan makes copies of mle: of those one takes part."""
    runs = [made_run(tmp_path / f"mle{steps}", adversarial={"steps": steps}) for steps in (1, 2)]
    for steps in (1, 2):
        reads = {"adversarial": {"steps": steps}, "generator": {"_target_": "m.A", "steps": steps}}
        runs.append(made_run(tmp_path / f"gan{steps}", **reads, **GAN))
    systems = choose_systems(runs, baseline="mle")
    assert list(systems) == ["mle", "seqgan generator.steps=1", "seqgan generator.steps=2"]
    assert [run.folder.name for run in systems["mle"]] == ["mle1"]
    assert "mle2 has the weights of " in capsys.readouterr().err
    both = [choose_systems([run], baseline="mle", fewest=1)["mle"][0] for run in runs[:2]]
    assert name_runs(both) == ["mle adversarial.steps=1", "mle adversarial.steps=2"], "a page shows what it is given"


def test_runs_that_reweigh_their_captions_are_told_apart_by_more_than_weights(tmp_path):
    """Those are the baseline's, and another discriminator chooses otherwise."""
    phases = composed("+experiment=residual_ebm")["phases"]
    runs = [made_run(tmp_path / name, name="ebm", phases=("mle", "resampling")) for name in "ab"]
    for run in map(Path, runs):
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps({**config, "phases": phases}))
    with pytest.raises(UserError, match="two runs of ebm have the same seed"):
        choose_systems(runs, baseline="mle")


def test_a_number_is_one_setting_in_whatever_form_it_was_given(tmp_path):
    runs = [made_run(tmp_path / f"gan{seed}", seed=seed, generator={"_target_": "m.A", "hidden": hidden}, **GAN)
            for seed, hidden in enumerate((64, 64.0))]  # fmt: skip
    systems = choose_systems(runs, baseline="mle")
    assert [run.seed for run in systems["seqgan"]] == [0, 1]
    text = made_run(tmp_path / "text", generator={"_target_": "m.A", "hidden": "64"}, **GAN)
    with pytest.raises(UserError, match=r"seqgan generator\.hidden=64: several systems would have this name"):
        choose_systems([*runs, text], baseline="mle")


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ([{"_target_": "m.A", "x": 1, "in": {"_target_": "m.C"}}, {"_target_": "m.B", "x": 2}],
         ["generator=A", "generator=B"]),
        ([{"_target_": "m.A", "x": 1}, {"_target_": "m.A", "x": 2}], ["generator.x=1", "generator.x=2"]),
        ([{"_target_": "m.A", "x": 1}, {"_target_": "n.A", "x": 1}], ["generator=m.A", "generator=n.A"]),
        ([{"_target_": "m.A", "x": 1}, {"_target_": "m.A", "x": 2}, {"_target_": "m.B", "x": 2}],
         ["generator=A generator.x=1", "generator=A generator.x=2", "generator=B"]),
        ([{"_target_": "m.A", "in": {"_target_": "m.C", "y": 1}}, {"_target_": "m.A", "in": {"_target_": "m.D"}}],
         ["generator.in=C", "generator.in=D"]),
    ],
)  # fmt: skip
def test_systems_with_parts_of_other_classes_are_named_by_these_classes(tmp_path, parts, names):
    runs = [made_run(tmp_path / str(index), **GAN, generator=part) for index, part in enumerate(parts)]
    assert list(choose_systems(runs, baseline="mle"))[1:] == [f"seqgan {name}" for name in names]


def test_a_language_model_that_only_measures_makes_no_other_system(tmp_path):
    runs = [
        made_run(tmp_path / f"gan{seed}", seed=seed, language_model=("smollm2", None)[seed], **GAN) for seed in (0, 1)
    ]
    assert list(choose_systems(runs, baseline="mle")) == ["mle", "seqgan"]
    asks = {"decoding": composed("decoding=reranked")["decoding"]}
    runs = [made_run(tmp_path / name, seed=0, language_model=name, **asks, **GAN) for name in ("smollm2", "gpt2")]
    assert list(choose_systems(runs, baseline="mle"))[1:] == [
        "seqgan language_model=smollm2", "seqgan language_model=gpt2",
    ]  # fmt: skip


def test_a_decoder_is_told_with_its_weights_and_the_names_of_its_parts():
    told = decoder_name(settings_from(composed("decoding=reranked")).decoding)
    assert "weights.language_model 0.3" in told
    assert "proposer beam" in told


def test_a_setting_that_is_off_is_one_that_there_was_not_yet(tmp_path):
    runs = [made_run(tmp_path / "old", seed=0, **GAN), made_run(tmp_path / "new", seed=1, since=None, **GAN)]
    assert list(choose_systems(runs, baseline="mle")) == ["mle", "seqgan"]


@pytest.mark.parametrize("there", [("index.html",), ("settings.json", "mine.txt")])
def test_a_folder_of_something_else_is_not_replaced(tmp_path, there):
    for name in there:
        (tmp_path / name).write_text("{}")
    runs = [made_run(tmp_path / "run", **GAN)]
    with pytest.raises(UserError, match="holds no report: choose another folder"):
        compare_runs(read(ComparisonSettings, composed(f"runs=[{runs[0]}]", f"out={tmp_path}", config_name="compare")),
                     command="")  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {*there, "run"}


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([{}, {**GAN, "data": "flickr8k"}], "trained on different data"),
        ([{}, {**GAN, "finished": False}], "has not finished"),
        ([{}, {"weights": b"other"}, GAN], "two runs of mle have the same seed"),
        ([{"seed": 1}, GAN], "no seed is common to all (mle: [1]; seqgan: [0])"),
        ([{}], "all of them are mle"),
        ([], "no runs"),
    ],
)
def test_runs_that_cannot_be_compared(tmp_path, runs, message):
    folders = [made_run(tmp_path / str(index), **one) for index, one in enumerate(runs)]
    with pytest.raises(UserError) as refused:
        choose_systems(folders, baseline="mle")
    assert message in str(refused.value)


def test_other_things_that_cannot_be_compared(tmp_path):
    with pytest.raises(UserError, match="no run folder"):
        choose_systems([str(tmp_path)], baseline="mle")
    run = made_run(tmp_path / "gan", **GAN)
    with pytest.raises(UserError, match="against=nsc: the runs are of seqgan"):
        choose_systems([run], baseline="nsc")
    alone = made_run(tmp_path / "alone", name="scratchgan", phases=("adversarial",))
    with pytest.raises(UserError, match=r"alone did not begin with maximum likelihood, .* against= one of scratchgan"):
        choose_systems([alone], baseline="mle")


def test_a_network_that_may_not_be_built_is_told_before_anything_is_evaluated(tmp_path):
    known, own = (made_run(tmp_path / name, name=name) for name in ("mle", "gan"))
    config = json.loads(Path(own, "config.json").read_text())
    config["generator"]["_target_"] = "mine_alone.gru.GRU"
    Path(own, "config.json").write_text(json.dumps(config))
    chosen = choose_systems([known, own], baseline="mle")
    check_networks({"mle": chosen["mle"]})
    with pytest.raises(UserError, match=rf"runs={own}: generator\._target_: mine_alone\.gru\.GRU is not allowed"):
        check_networks(chosen)


def test_where_no_report_can_be_written_is_told_before_anything_is_evaluated(tmp_path):
    (tmp_path / "file").touch()
    asked = composed("runs=[nowhere]", f"out={tmp_path}/file/report", config_name="compare")
    with pytest.raises(UserError, match="file is a file, and no folder"):
        compare_runs(read(ComparisonSettings, asked), command="")


def test_a_missing_extra_is_missed_before_anything_is_evaluated(monkeypatch):
    monkeypatch.setattr("gan_caption.extras.find_spec", lambda name: None if name == "pandas" else name)
    with pytest.raises(UserError, match=r"reports need pandas: pip install 'gan_caption\[report\]'"):
        compare_runs(read(ComparisonSettings, composed("runs=[]", config_name="compare")), command="")


@pytest.mark.slow
def test_the_report_of_real_runs(configured, tmp_path, capsys, monkeypatch):
    for seed in (0, 1):
        run_experiment(configured(f"seed={seed}"), data="scenes", command=f"python -m gan_caption.train seed={seed}")
    run_experiment(configured("+experiment=mle", base=TINY), data="scenes")
    runs = ",".join(str(folder) for folder in (tmp_path / "outputs").iterdir())
    asked = (
        f"runs=[{runs}]", f"out={tmp_path}/report", "curve.temperatures=[0.5,1]", "curve.top_p=[0.8]", "gallery=3",
        "judge.epochs=1", "judge.folds=2",
    )  # fmt: skip

    def settings(*more):
        return read(ComparisonSettings, configured(*asked, *more, base=[], config_name="compare"))

    with pytest.raises(UserError, match=r"judge\.folds=5: 8 images are too few"):
        compare_runs(settings("judge.folds=5"), command="")
    for log in (tmp_path / "outputs").glob("*/metrics.jsonl"):
        with log.open("a", encoding="utf-8") as file:
            file.write('{"step": 99, "phase": "mle", "mle/lo')  # a crash cut it short
    report = compare_runs(settings(), command="python -m gan_caption.compare ...")
    text = (report / PAGE).read_text()
    assert "mle / seqgan" in text
    assert "python -m gan_caption.train seed=0" in text
    assert "seed 0 only" in text, "the baseline has that one alone"
    assert len(list((report / "images").iterdir())) == 3
    assert 'src="calibration.svg"' in text
    assert {"calibration.svg", "learning.svg", "metrics.csv", "metrics.tex", "verdicts.csv"} <= {
        path.name for path in report.iterdir()
    }
    for folder in (tmp_path / "outputs").glob("*-seed0-*"):
        (results,) = folder.glob("evaluation-test-*/results.json")
        (measured,) = json.loads(results.read_text())["systems"].values()
        name = folder.name.split("-")[0]
        rows = csv.DictReader((report / "metrics.csv").open())
        told = {row["metric"]: float(row["value"]) for row in rows if row["system"] == name and row["value"]}
        assert ("discriminator_auc" in told) == (name == "seqgan"), "the other one has none"
        shared = told.keys() & measured.keys()
        assert {"cider_d", "self_cider", "div_2", "oracle_true", "nll_per_token"} <= shared
        assert told == {**told, **{metric: pytest.approx(measured[metric], abs=1e-12) for metric in shared}}
        assert {"lm_nll", "reverse_lm_nll", "taken_for_human", "recall_5"} <= told.keys()

    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)  # the same ones, drawn again, take half a minute
    capsys.readouterr()
    evaluations = {path: path.stat().st_mtime_ns for path in tmp_path.glob("outputs/*/evaluation-*/results.json")}
    compare_runs(settings(), command="again")
    assert "evaluating" not in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in evaluations} == evaluations
    assert not list(tmp_path.glob(".report*")), "nothing is left beside the report"

    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.txt").touch()
    with pytest.raises(UserError, match="holds no report"):
        compare_runs(settings(f"out={other}"), command="")
    assert (other / "chapter.txt").exists()
    (tmp_path / "link").symlink_to(report)
    (report / "old.txt").touch()
    few = compare_runs(settings("validation.images=6", f"out={tmp_path}/link"), command="")
    assert few == report
    assert not (report / "old.txt").exists(), "the old report gave way as a whole"
    assert "6 test images" in (report / PAGE).read_text()

    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.suffix == ".tmp":
            raise OSError(errno.ENOSPC, "no room")
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", failing)
        with pytest.raises(UserError, match=r"out=.* cannot be written: no room\. What was there before is intact"):
            compare_runs(settings(), command="")
    assert "6 test images" in (report / PAGE).read_text(), "the old report is where it was"
    assert not list(tmp_path.glob(".report*"))


def test_runs_counted_by_word_and_by_character_are_refused(tmp_path):
    kept = ["一", "dog"]
    runs = []
    for name, target in (("mle", "words.WordTokenizer"), ("seqgan", "characters.CharacterTokenizer")):
        node = {"_target_": f"gan_caption.text.{target}", "min_count": 1}
        folder = made_run(tmp_path / name, name=name, tokenizer=node)
        (Path(folder) / "vocabulary.json").write_text(json.dumps(kept))
        runs.append(folder)
    systems = choose_systems(runs, baseline="mle")
    with pytest.raises(UserError, match=r"mle by word and .*seqgan by character, which cannot be compared"):
        run_tokenizers(systems)
    counted = run_tokenizers({"mle": systems["mle"]})
    assert [tokenizer.tokenized(["一 dog"]) for tokenizer in counted.values()] == [["一 dog"]]


def test_likelihoods_of_other_words_are_not_compared(capsys):
    one, same, fewer = (WordTokenizer(min_count=count).learn(["a dog", "a cat"]) for count in (1, 1, 2))
    every = catalogue()
    assert comparable(every, [one, same]) == every
    assert not capsys.readouterr().err
    left = every.keys() - comparable(every, [one, fewer]).keys()
    assert {name.removeprefix("limit_")[:7] for name in left} == {"nll_per"}
    assert len(left) == 6
    assert "likelihood of references, of other words with each, is left out" in capsys.readouterr().err


def test_a_run_of_before_there_was_a_choice_is_of_words(tmp_path):
    before = Path(made_run(tmp_path / "before", vocabulary={"min_count": 5}))
    config = json.loads((before / "config.json").read_text())
    del config["tokenizer"]
    (before / "config.json").write_text(json.dumps(config))
    node = {"_target_": "gan_caption.text.words.WordTokenizer", "min_count": 5}
    now = Path(made_run(tmp_path / "now", seed=1, vocabulary={"min_count": 5}, tokenizer=node))
    assert read_config(before)["tokenizer"] == read_config(now)["tokenizer"] == node
    with pytest.raises(UserError, match="all of them are mle"):  # which are one system
        choose_systems([str(before), str(now)], baseline="mle")
