"""Pages as typed records: what they hold, and the line that a wrong setting of any command ends with."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from gan_caption.configuration.building import Part, plain, read
from gan_caption.configuration.renamed import RENAMED, now_called
from gan_caption.configuration.settings import SHARED, HoldoutSettings, Settings, settings_from
from gan_caption.decoding.decoders import Decoder
from gan_caption.errors import UserError
from gan_caption.evaluation.settings import ComparisonSettings, EvaluationSettings, evaluation_from, transfer_from
from gan_caption.inference.settings import (
    CaptionSettings,
    DemoSettings,
    calibration_from,
    export_from,
    language_model_from,
)
from gan_caption.reporting.dashboard import DashboardSettings
from gan_caption.training.folders import OF_ONE_MACHINE, read_settings, write_json
from gan_caption.training.identity import configuration_hash, differences, flattened
from gan_caption.training.setup import check_configuration
from tests.slow import mostly_slow
from tests.started import ended
from tests.tiny_runs import composed

ROOT = Path(__file__).parents[2]
GREEDY = {"_target_": "gan_caption.decoding.decoders.Greedy"}
BEAM = {"_target_": "gan_caption.decoding.decoders.Beam", "beam_size": 3, "length_penalty": 0.8,
        "no_repeated_trigram": False}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: float

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size={self.size}: at least 0")


@dataclass(frozen=True, kw_only=True)
class Page:
    name: str
    allow: list[str]
    inner: Inner
    decoding: Part
    other: Part | None
    parts: dict[str, Part]
    more: Inner | None = None
    mine: int = 0


PAGE = {"name": "x", "allow": [], "inner": {"size": 1}, "decoding": GREEDY, "parts": {"a": GREEDY, "b": None}}


def test_a_page_becomes_a_record_with_records_and_parts_in_it():
    page = read(Page, {**PAGE, "more": {"size": 2.5}, "other": BEAM}, mine=7)
    assert (page.name, page.inner, page.more, page.mine) == ("x", Inner(size=1.0), Inner(size=2.5), 7)
    assert type(page.inner.size) is float
    assert (page.decoding.name, page.other.node["beam_size"], list(page.parts)) == ("Greedy", 3, ["a"])
    assert page.other.build(Decoder).beam_size == 3
    assert read(Page, PAGE).other is None
    assert read(Page, OmegaConf.create({**PAGE, "name": "${decoding._target_}"})).name == GREEDY["_target_"]


def test_a_record_is_written_as_the_page_that_it_was_read_from():
    page = {**PAGE, "other": BEAM, "more": None, "mine": 0}
    assert plain(read(Page, page)) == {**page, "parts": {"a": GREEDY}}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"nane": "y"}, "nane is not known. Did you mean name?"),
        ({"name": None}, "name: None is not a valid string"),
        ({"name": "???"}, "name has no value: give one, name=... (a str)"),
        ({"inner": {"size": "big"}}, "inner.size: 'big' is not a valid number"),
        ({"inner": {"size": -1}}, "inner.size=-1.0: at least 0"),
        ({"inner": {"size": 1, "sise": 1}}, "inner.sise is not known. Did you mean inner.size?"),
        ({"inner": {}}, "inner.size is missing"),
        ({"inner": 3}, "inner: 3 is not an Inner"),
        ({"inner": None}, "inner: None is not an Inner"),
        ({"allow": {"mine": 1}}, "allow: {'mine': 1} is not a valid list"),
        ({"allow": [3]}, "allow[0]: 3 is not a valid string (text needs quotes: '\"3\"')"),
        ({"decoding": None}, "decoding: None names nothing to build: it needs _target_"),
        ({"other": {"beam_size": 3}}, "other: {'beam_size': 3} names nothing to build"),
        ({"parts": {"a": 3}}, "parts.a: 3 names nothing to build"),
        ({"parts": [GREEDY]}, "parts: ["),
        ({"name": {"_target_": "os.system"}}, "name._target_: os.system is not allowed"),
    ],
)
def test_what_is_wrong_on_a_page_is_named_by_its_key(changed, message):
    with pytest.raises(UserError) as refused:
        read(Page, {**PAGE, **changed})
    assert str(refused.value).startswith(message)


def test_parts_may_name_what_the_page_allows():
    page = read(Page, {**PAGE, "allow": ["mine"]})
    assert page.decoding.allowed == ("gan_caption.", "mine.")
    with pytest.raises(UserError, match=r"^decoding\._target_: mine\.x\.Decoder: there is no module mine"):
        read(Page, {**PAGE, "allow": ["mine"], "decoding": {"_target_": "mine.x.Decoder"}}).decoding.build(object)
    with pytest.raises(UserError, match="is not allowed"):
        read(Page, {**PAGE, "decoding": {"_target_": "mine.x.Decoder"}}).decoding.check(object)


PAGES = {
    "evaluate": (evaluation_from, ["run=a"], [
        ("run=1.5", "run: 1.5 is not a path (text needs quotes: '\"...\"')"),
        ("split=valid", "split: 'valid' is not one of 'train', 'val' or"),
        ("curve.top_p=0.9", "curve.top_p: 0.9 is not a valid list"),
        ("validation.samples_per_image=1", "validation.samples_per_image=1: at least 2"),
    ]),
    "compare": (lambda page: read(ComparisonSettings, page), ["runs=[a,b]"], [
        ("runs=[a,2.5]", "runs[1]: 2.5 is not a path (text needs quotes: '\"...\"')"),
        ("runs=true", "runs: True is not a path or a valid list"), ("judge.folds=1", "judge.folds=1: at least 2"),
        ("validation.samples_per_image=1", "validation.samples_per_image=1: at least 2"),
        ("validation.temperature=0", "validation.temperature=0.0: above 0"),
        ("judge.epochs=many", "judge.epochs: 'many' is not a valid integer"), ("gallery=-1", "gallery=-1: at least 0"),
    ]),
    "caption": (lambda page: read(CaptionSettings, page), ["run=a", "images=[b]"], [
        ("images=[b,null]", "images[1]: None is not a path"), ("seed=abc", "seed: 'abc' is not a valid integer"),
        ("rerank.own=much", "rerank.own: 'much' is not a valid number"), ("captions=0", "captions=0: at least 1"),
    ]),
    "demo": (lambda page: read(DemoSettings, page), ["run=a"], [
        ("port=abc", "port: 'abc' is not a valid integer"), ("samples=1", "samples=1: at least 2"),
        ("run=[a,2.5]", "run[1]: 2.5 is not a path"), ("run=[]", "run=[]: no runs are given"),
    ]),
    "export": (export_from, ["run=a"], [
        ("format=pickle", "format: 'pickle' is not one of 'onnx' or 'safetensors'"),
        ("check_images=1", "check_images=1: at least 2"),
    ]),
    "language_model": (language_model_from, ["run=a", "out=b"], [
        ("order=0", "order=0: at least 1"), ("out=[7]", "out: [7] is not a path"),
    ]),
    "dashboard": (lambda page: read(DashboardSettings, page), [], [("project=1", "project: 1 is not a valid string")]),
}  # fmt: skip
"""Of each entry point: how its page is read, what it needs, and settings that are wrong."""
EVERY = {**PAGES, "config": (settings_from, ["+experiment=seqgan"], [])}


@pytest.mark.parametrize(
    ("page", "override", "message"), [(page, *one) for page, (_, _, wrong) in PAGES.items() for one in wrong]
)
def test_a_wrong_setting_of_any_entry_point_is_named(page, override, message):
    reader, needed, _ = PAGES[page]
    assert reader(composed(*needed, config_name=page))
    with pytest.raises(UserError) as refused:
        reader(composed(*needed, override, config_name=page))
    assert str(refused.value).startswith(message)


def keys_of(page: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the place of each setting that is checked when a page is read: what is inside parts is checked by them."""
    for key, value in page.items():
        yield (key,)
        if isinstance(value, dict) and "_target_" not in value:
            yield from ((key, *more) for more in keys_of(value))


@pytest.mark.parametrize("page", EVERY)
def test_each_setting_of_each_page_has_a_type(page):
    """No setting takes a list of a number and a mapping, or a mapping of a list: each says so by its key."""
    reader, needed, _ = EVERY[page]
    usual = composed(*needed, config_name=page)
    tried = 0
    for *outer, key in keys_of(usual):
        if (outer and outer[0] in SHARED) or key in SHARED:
            continue  # checked where they are used
        for wrong in ([1, {"a": 2}], {"no such key": [None]}, float("nan")):
            given = copy.deepcopy(usual)
            node = given
            for one in outer:
                node = node[one]
            node[key] = wrong
            with pytest.raises(UserError) as refused:
                reader(given)
            assert ".".join([*outer, key]) in str(refused.value)
            assert "\n" not in str(refused.value)
            tried += 1
    assert tried >= 3 * 4


@pytest.mark.parametrize("page", mostly_slow(PAGES, fast=["caption"]))
def test_a_wrong_setting_of_any_command_ends_it_with_one_line(page, tmp_path):
    _, needed, wrong = PAGES[page]
    override, message = wrong[0]
    told = ended(f"gan_caption.{page}", *needed, override, folder=tmp_path, environment={"PYTHONPATH": str(ROOT)})
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(f"error: {message}")
    assert told.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("page", "override", "key", "meant"),
    [
        ("caption", "images=photo.jpg", "images", [Path("photo.jpg")]),
        ("caption", "images=2024", "images", [Path("2024")]), ("caption", "run=2024", "run", Path("2024")),
        ("caption", "images=[2024,a]", "images", [Path("2024"), Path("a")]),
        ("caption", "out=2024", "out", Path("2024")), ("caption", "out='~/a.csv'", "out", Path("/home/me/a.csv")),
        ("caption", "images=['~/a',b]", "images", [Path("/home/me/a"), Path("b")]),
        ("compare", "runs=a", "runs", Path("a")), ("compare", "runs=[2024]", "runs", [Path("2024")]),
        ("compare", "runs=2024", "runs", Path("2024")), ("compare", "java_metrics=meteor", "java_metrics", ["meteor"]),
        ("evaluate", "allow=mine", "allow", ["mine"]), ("evaluate", "cache='~'", "cache", Path("/home/me")),
        ("dashboard", "metrics=mine", "metrics", ["mine"]), ("language_model", "out=7", "out", Path("7")),
        ("config", "outputs='~/runs'", "outputs", Path("/home/me/runs")), ("config", "resume=auto", "resume", "auto"),
        ("config", "resume=2024", "resume", Path("2024")),
        ("config", "pretrained='~/a'", "pretrained", Path("/home/me/a")),
    ],
)  # fmt: skip
def test_one_text_is_a_list_of_it_and_a_path_is_a_text_or_a_whole_number(page, override, key, meant, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    reader, needed, _ = EVERY[page]
    record = reader(composed(*needed, override, config_name=page))
    assert getattr(record, key) == meant
    assert type(getattr(record, key)) is type(meant)
    written = [str(one) for one in meant] if isinstance(meant, list) else str(meant)
    assert plain(record)[key] == written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "overrides", "message"),
    [
        ("caption", ["run=a", "images=[20.24]"], "images[0]: 20.24 is not a path"),
        ("prepare", ["allow=3"], "allow: 3 is not a valid list"),
        ("train", ["critic.learning_rate=1e-3"], "critic.learning_rate is now discriminator_training.learning_rate"),
    ],
)
def test_a_wrong_setting_is_one_line_and_status_2(command, overrides, message, tmp_path):
    told = ended(f"gan_caption.{command}", *overrides, folder=tmp_path, environment={"PYTHONPATH": str(ROOT)})
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(f"error: {message}")
    assert told.stderr.count("\n") == 1


def test_the_default_configuration_as_a_record():
    config = composed("+experiment=seqgan", "seed=3", "validation.images=8")
    settings = settings_from(config)
    assert (settings.name, settings.seed, settings.validation.images) == ("seqgan", 3, 8)
    assert list(settings.phases) == ["words", "mle", "discriminator", "adversarial"]
    assert settings.given == config
    assert settings_from(composed("phases.words=null", "+experiment=seqgan")).phases.keys() == {
        "mle", "discriminator", "adversarial",
    }  # fmt: skip


# Keys of before


@pytest.mark.slow
def test_an_old_key_on_a_page_or_command_line_is_told_its_new_name(tmp_path):
    for old, new in RENAMED.items():
        config = OmegaConf.create(composed("+experiment=seqgan", "gate@phases.adversarial.gate=ceiling"))
        assert OmegaConf.select(config, old) is None
        assert OmegaConf.select(config, new) is not None
        OmegaConf.update(config, old, 3)
        with pytest.raises(UserError, match=f"^{old} is now {new}$"):
            settings_from(OmegaConf.to_container(config))
    assert now_called("finetuning.steps") == "adversarial.steps"
    assert now_called("phases.adversarial.steps") is None
    assert now_called("critics") is None
    page = tmp_path / "experiment" / "mine.yaml"
    page.parent.mkdir()
    page.write_text("# @package _global_\nmax_length: ${finetuning.steps}\n")
    for given, message in (
        (["--config-dir", ".", "+experiment=mine"], "Interpolation key 'finetuning.steps' not found: finetuning.steps"),
        (["-m", "hydra.sweeper.params.critic.steps=1,2"], "critic.steps is now discriminator_training.steps"),
    ):
        told = ended("gan_caption.train", *given, folder=tmp_path, environment={"PYTHONPATH": str(ROOT)})
        assert told.returncode == 2
        assert message in told.stderr


def test_a_run_of_before_is_read_by_the_names_of_today(tmp_path):
    config = composed("+experiment=seqgan", "gate@phases.adversarial.gate=ceiling")
    before = {"critic": config.pop("discriminator_training"), "finetuning": config.pop("adversarial")} | config
    phase = before["phases"]["adversarial"]
    gate = phase.pop("gate")
    phase |= {"discriminator_steps": gate["steps"], "accuracy_ceiling": gate["accuracy"]}
    write_json(tmp_path / "config.json", {**before, "once": 1, "allow": ["os"]})
    settings = read_settings(tmp_path)
    assert settings.given["phases"]["adversarial"]["gate"] == {"steps": 5, "accuracy": 0.85}
    assert "accuracy_ceiling" not in settings.given["phases"]["adversarial"]
    assert settings.given.keys() == {*composed("+experiment=seqgan"), "once"}
    assert settings.generator.allowed == ("gan_caption.",), "a run folder allows nothing by itself"
    assert settings == read_settings(tmp_path, allow=())


def test_a_run_of_before_noise_had_laws_is_read_with_the_one_that_it_had(tmp_path):
    config = json.loads(json.dumps(composed("+experiment=mle", "generator.noise_size=3")))
    before = copy.deepcopy(config)
    assert before["generator"].pop("noise_law") == "normal"
    write_json(tmp_path / "config.json", before)
    assert read_settings(tmp_path).generator.node == config["generator"]
    assert configuration_hash(before) == configuration_hash(config), "resume=auto would not find its folder"
    assert not differences(tmp_path, config, None)
    other = copy.deepcopy(config)
    other["generator"]["noise_law"] = "uniform"
    assert differences(tmp_path, other, None).settings == {
        "generator.noise_law": "nothing there, 'uniform' here",
    }
    assert configuration_hash(other) != configuration_hash(config)
    write_json(tmp_path / "config.json", other)
    assert read_settings(tmp_path).generator.node["noise_law"] == "uniform"
    own = {"_target_": "mine.gru.GRUGenerator", "noise_size": 3}
    write_json(tmp_path / "config.json", {**before, "generator": own})
    assert read_settings(tmp_path, allow="mine").generator.node == own, "a class of one's own is left alone"


def test_a_run_of_before_words_were_replaced_is_the_one_that_replaces_none(tmp_path):
    config = json.loads(json.dumps(composed("+experiment=seqgan")))
    before = copy.deepcopy(config)
    trainers = [phase["trainer"] for phase in before["phases"].values() if phase and "trainer" in phase]
    for section in (before["discriminator_training"], *(one["objective"] for one in trainers)):
        assert section.pop("edited") == 0.0
    before["discriminator_trainer"]["objective"].pop("edited", None)
    assert len(trainers) == 2
    write_json(tmp_path / "config.json", before)
    assert configuration_hash(before) == configuration_hash(config), "resume=auto would not find its folder"
    assert not differences(tmp_path, config, None)
    other = composed("+experiment=seqgan", "discriminator_training.edited=0.25")
    assert configuration_hash(other) != configuration_hash(config)
    assert differences(tmp_path, other, None).settings["discriminator_training.edited"] == "nothing there, 0.25 here"


@pytest.mark.parametrize(
    ("page", "digits"),
    [
        ("+experiment=mle", "a9c5a5"), ("+experiment=scst", "017b86"), ("+experiment=seqgan", "ae3bdf"),
        ("+experiment=seqgan data=oracle encoder=none generator=lstm", "6c8fe5"),
    ],
)  # fmt: skip
def test_a_run_of_before_is_found_under_its_name(page, digits):
    """As earlier versions named it: `resume=auto` would train anew. Who changes what a page does writes new digits."""
    assert configuration_hash(composed(*page.split())) == digits


def test_a_run_of_before_holdouts_is_read_and_found_as_one_without(tmp_path):
    config = json.loads(json.dumps(composed("+experiment=seqgan")))
    before = {key: value for key, value in config.items() if key != "holdout"}
    write_json(tmp_path / "config.json", before)
    assert read_settings(tmp_path).holdout == HoldoutSettings(check=0.0, discriminator=0.0, fold=0)
    assert configuration_hash(before) == configuration_hash(config), "resume=auto would not find its folder"
    assert not differences(tmp_path, config, None)
    other = json.loads(json.dumps(composed("+experiment=seqgan", "holdout.check=0.1")))
    assert differences(tmp_path, other, None).settings["holdout.check"] == "nothing there, 0.1 here"
    assert configuration_hash(other) != configuration_hash(config)


def test_a_law_that_there_is_not_is_refused():
    with pytest.raises(UserError, match=r"generator\.noise_law: 'gauss'.*normal.*uniform"):
        check_configuration(composed("generator.noise_law=gauss"))


def test_what_a_run_of_before_lacks_is_filled_where_it_is_of_one_machine_and_named_where_not(tmp_path):
    config = json.loads(json.dumps(composed()))
    kept = {key: value for key, value in config.items() if key not in OF_ONE_MACHINE}
    write_json(tmp_path / "config.json", kept)
    settings = read_settings(tmp_path)
    assert (settings.device, settings.cache, settings.tracker) == ("auto", Path("cache"), None)
    assert settings.shards.folder is None
    assert {field.name for field in fields(Settings)} - kept.keys() - {"given", "discriminator"} <= set(OF_ONE_MACHINE)
    del kept["max_length"]
    write_json(tmp_path / "config.json", kept)
    with pytest.raises(UserError, match=r"config\.json: max_length is missing: .*Settings needs it, an int"):
        read_settings(tmp_path)
    write_json(tmp_path / "config.json", {**kept, "max_length": "long"})
    with pytest.raises(UserError, match=r"config\.json: max_length: 'long' is not a valid integer"):
        read_settings(tmp_path)


def test_an_evaluation_is_of_its_own_settings_whatever_the_data_bring():
    asked = evaluation_from(composed("run=a", "data=coco", "data.root=b", config_name="evaluate"))
    assert isinstance(asked, EvaluationSettings)
    assert asked.data.name == "Coco"
    assert asked.validation.images is None


@pytest.mark.parametrize(
    ("page", "read_page", "more"),
    [("evaluate", evaluation_from, ()), ("transfer", transfer_from, ()), ("export", export_from, ()),
     ("calibrate", calibration_from, ()), ("language_model", language_model_from, ("out=b",))],
)  # fmt: skip
def test_shards_are_data_to_whatever_reads_data(page, read_page, more):
    run = "runs=[a]" if page == "transfer" else "run=a"
    asked = read_page(composed(run, "data=shards", "data.root=b", "cache=mine", *more, config_name=page))
    assert asked.data.node["cache"] == str(asked.cache) == "mine"


def test_a_run_from_elsewhere_says_nothing_of_where_things_are_kept():
    theirs = settings_from(composed("data=shards", "data.root=b", "cache=theirs", "data.cache=their/documents"))
    read_here = theirs.cached_in(Path("mine"))
    assert (read_here.cache, read_here.data.node["cache"]) == (Path("mine"), "mine")
    assert theirs.data.node["cache"] == "their/documents"
    assert theirs.data.node["skip_unreadable"] is False
    skipping = theirs.cached_in(Path("mine"), skip_unreadable=True)
    assert skipping.skip_unreadable
    assert skipping.data.node["skip_unreadable"] is True
    assert "cache" not in settings_from(composed("cache=theirs")).cached_in(Path("mine")).data.node


def test_a_run_with_shortened_budgets_is_called_so():
    pages = {
        name: composed("+experiment=seqgan", *more) for name, more in {"all": (), "cheap": ("+study=cheap",)}.items()
    }
    assert {name: settings_from(page).title for name, page in pages.items()} == {
        "all": "seqgan",
        "cheap": "seqgan_cheap",
    }
    changed = {key for key in flattened(pages["all"]) if flattened(pages["all"])[key] != flattened(pages["cheap"])[key]}
    budgets = ("study", "steps", "steps_per_update")
    assert {key.rpartition(".")[2] for key in changed} <= set(budgets), "no formula changes"


def test_a_name_that_no_file_of_text_can_hold_is_refused_before_anything():
    config = composed("+experiment=mle")
    for faulty, key in (({"outputs": "caf\udce9"}, "outputs"), ({"allow": ["x", "\ud800"]}, r"allow\[1\]")):
        with pytest.raises(UserError, match=f"{key}=.* is no UTF-8"):
            check_configuration({**config, **faulty})
