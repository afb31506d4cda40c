"""Configuration and checkpoints of unknown origin are data: nothing in them runs, and no secret leaves by them."""

from __future__ import annotations

import ast
import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gan_caption.configuration.building import build, check
from gan_caption.configuration.launching import conf_dir
from gan_caption.data.corpus import Corpus
from gan_caption.decoding.decoders import Decoder
from gan_caption.discriminators.base import Discriminator
from gan_caption.encoders.base import Encoder
from gan_caption.errors import UserError
from gan_caption.generators.base import Generator
from gan_caption.generators.ngram import NgramGenerator
from gan_caption.metrics import Metric
from gan_caption.text.base import Tokenizer
from gan_caption.training.checkpoint import load_state, load_weights
from gan_caption.training.folders import inside, read_config
from gan_caption.training.setup import check_configuration
from gan_caption.untrusted.pages import check_all_pages, check_page
from gan_caption.untrusted.references import check_references
from tests.tiny_runs import composed, part

ROOT = Path(__file__).parents[2]
ENTRY = """
import sys
from pathlib import Path
from gan_caption.configuration.building import build
from gan_caption.configuration.launching import launch

def work(config):
    print(f"name is {config.name}")
    build(config.part, object, path="part")

launch(work, folder=Path("conf"))
"""
MARK = "executed"
"""A file that appears where something runs."""


@pytest.fixture
def start(tmp_path):
    """Start an entry point with a chosen page of unknown origin."""
    (tmp_path / "conf" / "part").mkdir(parents=True)
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "config.yaml").write_text(
        "defaults: [_self_, part: greedy]\nname: plain\nhydra:\n  run: {dir: .}\n  output_subdir: null\n"
    )
    (tmp_path / "conf" / "part" / "greedy.yaml").write_text("_target_: gan_caption.decoding.decoders.Greedy\n")
    (tmp_path / "entry.py").write_text(ENTRY)

    def start(page: str, *arguments: str):
        (tmp_path / "mine" / "experiment" / "sly.yaml").write_text(f"# @package _global_\n{page}\n")
        command = [sys.executable, "entry.py", "--config-dir", "mine", "+experiment=sly", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SECRET": "hunter2", "OMP_NUM_THREADS": "1"}
        # What Hydra itself refuses by its own lists shall not hide what we let through.
        environment["HYDRA_INSTANTIATE_ALLOWLIST_OVERRIDE"] = "subprocess.check_call:os.system"
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert not (tmp_path / MARK).exists(), "the page ran a command"
        return result

    return start


@pytest.mark.slow
def test_a_page_that_only_chooses_and_sets_is_taken(start):
    result = start("name: mine")
    assert (result.returncode, result.stdout, result.stderr) == (0, "name is mine\n", "")


SLY = {
    "tag": f'name: !!python/object/apply:os.system ["touch {MARK}"]',
    "nested_tag": f'part: {{groups: [{{x: !!python/object/new:subprocess.check_call [[touch, {MARK}]]}}]}}',
    "callback": f"hydra: {{callbacks: {{x: {{_target_: subprocess.check_call, args: [touch, {MARK}]}}}}}}",
    "escaped_key": f'"\\x68ydra": {{callbacks: {{x: {{_target_: subprocess.check_call, args: [touch, {MARK}]}}}}}}',
    "logging": "hydra: {job_logging: {version: 1, root: {level: INFO}, formatters: "
    f"{{x: {{(): os.system, command: touch {MARK}}}}}}}}}",
    "environment": "hydra: {job: {env_set: {LD_PRELOAD: ./evil.so}}}",
    "more_pages": "defaults: [{override /hydra/job_logging: default}]",
    "package_of_a_page": "defaults: [{/part@hydra.callbacks.x: greedy}]",
    "spelled": "defaults: ['${experiment}dra/callbacks/x', _self_]",
    "spelled_package": "defaults: [{'/part@${experiment}dra.callbacks.x': greedy}]",
    "aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "functions": "name: '${oc.create:{a: b}}'",
    "keys_named_by_others": "a: name\nb: '${${a}}'",
    "spelled_outputs": "outputs: '${name}'",
    "deep": f"name: {'[' * 5000}{']' * 5000}",
    "no_yaml": "name: [",
    "twice": "name: a\nname: b",
    "no_reference": 'name: "${a b}"',
    "many_digits": f"name: {'1' * 5000}",
}  # fmt: skip


@pytest.mark.parametrize("page", SLY.values(), ids=SLY.keys())
def test_a_page_that_does_more_is_refused_before_anything(start, page):
    result = start(page)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert "sly.yaml" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_page_that_lies_among_hydras_own_is_refused(start, tmp_path):
    page = tmp_path / "mine" / "hydra" / "callbacks" / "evil.yaml"
    page.parent.mkdir(parents=True)
    page.write_text(f"evil: {{_target_: subprocess.check_call, args: [touch, {MARK}]}}\n")
    result = start("name: mine", "+hydra/callbacks=evil")
    assert result.returncode == 2
    assert "evil.yaml, line 1: it lies among Hydra's own settings" in result.stderr


@pytest.mark.parametrize(
    ("other", "header", "page", "more"),
    [
        ("ra/evil", "", "defaults: [{/ra@hyd_group_: evil}, _self_]", ()),
        ("evil/ra", "", "defaults: [{/evil@hyd_name_: ra}, _self_]", ()),
        ("ra/evil", "# @package hyd_group_\n", "name: mine", ("+ra=evil",)),
    ],
)
def test_what_hydra_puts_in_place_of_words_spells_none_of_its_own(start, tmp_path, other, header, page, more):
    path = tmp_path / "mine" / f"{other}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"{header}callbacks: {{x: {{_target_: subprocess.check_call, args: [touch, {MARK}]}}}}\n")
    result = start(page, *more)
    assert (result.returncode, result.stdout) == (2, "")
    assert "spells where it goes" in result.stderr or "it goes into 'hyd_group_'" in result.stderr


@pytest.mark.parametrize("place", ["mine", "elsewhere"])
def test_pages_of_a_search_are_looked_at_before_other_processes_read_them(start, tmp_path, place):
    page = tmp_path / place / "part" / "late.yaml"
    page.parent.mkdir(parents=True)
    (tmp_path / "mine" / "linked").symlink_to(page.parent)
    (tmp_path / "mine" / "circle").symlink_to(tmp_path / "mine")
    page.write_text("# @package _global_\nhydra: {job: {env_set: {SECRET: x}}}\n")
    assert start("name: mine", "part=greedy").returncode == 0, "nobody reads it"
    searched = [] if place == "mine" else [f"hydra.searchpath=[file://{tmp_path}/{place}]"]
    result = start("name: mine", "-m", "hydra/sweeper=optuna", "name=a,b", *searched)
    assert (result.returncode, result.stdout) == (2, "")
    assert "late.yaml, line 2: it sets Hydra itself up" in result.stderr


@pytest.mark.parametrize(
    "level", ["'${{{0}}}${{{0}}}'", "{{x: '${{{0}}}', y: '${{{0}}}'}}", "['${{{0}}}', '${{{0}}}']"]
)
def test_references_that_unfold_without_end_are_refused_before_they_are_put_in(start, level):
    """Forty levels of two references each: a terabyte."""
    chain = [f"level{place + 1}: {level.format(f'level{place}')}" for place in range(40)]
    result = start("\n".join([*reversed(chain), "level0: a dog"]))
    assert (result.returncode, result.stdout) == (2, "")
    assert "with all that it refers to by ${} it is larger than" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_circle_and_a_long_chain_of_references_are_told(start):
    long = "\n".join(f"level{place + 1}: ${{level{place}}}" for place in range(2000))
    for page, said in ((long, "references one after another"), ("name: ${other}\nother: ${name}", "Recursive")):
        result = start(page)
        assert (result.returncode, result.stdout) == (2, "")
        assert said in result.stderr
        assert "Traceback" not in result.stderr


def test_the_largest_pages_are_gone_through_once(tmp_path):
    """A look at each key from the top, or at each space in three ways, would take hours of them."""
    page = tmp_path / "large.yaml"
    many = "\n".join(f"k{place}: {place}" for place in range(60_000))
    page.write_text(f"{many}\ntext: '${{{' ' * 100_000}'\n")
    with pytest.raises(UserError, match="computes nothing"):
        check_page(page)
    for filling in ("\n" * 900_000, "#" + "@package" * 100_000):
        page.write_text(f"{filling}\nname: a\n")
        check_page(page)
    with pytest.raises(UserError, match="it is larger than"):
        check_references({f"k{place}": "${k0}" for place in range(60_000)} | {"k0": "a dog"})


def test_a_value_may_be_named_after_hydra_and_refer_to_keys(start):
    result = start("words: {a: /home/hydra}\nname: '${words.a}/${part._target_}'")
    assert result.stdout == "name is /home/hydra/gan_caption.decoding.decoders.Greedy\n"


def test_environment_variables_are_not_read(start):
    hidden = 'a: oc\nname: "${${a}.env:SECRET,x}"'
    for page in ("name: ${oc.env:SECRET}", hidden, "name: ${oc.decode:'${oc.env:SECRET}'}"):
        result = start(page)
        assert result.returncode == 2, result.stdout
        assert "hunter2" not in result.stdout + result.stderr
        assert "reads no environment variables" in result.stderr


def test_packages_are_allowed_on_the_command_line_only(start, tmp_path):
    (tmp_path / "allow").symlink_to("mine")
    for folder in ((), ("--config-dir", "allow")):  # a folder of that name allows nothing
        result = start("allow: [subprocess]", *folder)
        assert result.returncode == 2
        assert "stands in a page" in result.stderr


@pytest.mark.parametrize(("key", "page"), [
    ("outputs", "outputs: /elsewhere"), ("out", "out: precious.json"), ("host", "host: 0.0.0.0"),
    ("shards.folder", "shards: {folder: there}"), ("data.cache", "data: {cache: there}"),
    ("tracker.project", "tracker: {project: theirs}"), ("tracker.entity", "tracker: {entity: theirs}"),
])  # fmt: skip
def test_where_is_written_and_who_may_look_is_said_on_the_command_line_only(start, key, page):
    result = start(page)
    assert result.returncode == 2
    assert f"error: {key}=" in result.stderr
    assert "stands in a page: it is said on the command line only" in result.stderr
    assert start(page, f"{key}=here").returncode == 0


def test_no_part_of_a_tracker_tells_another_account(start):
    page = "tracker: {trackers: [{start_timeout: 30}, {entity: theirs}]}"
    for said in ((), ("+tracker.project=mine",)):
        result = start(page, *said)
        assert result.returncode == 2
        assert "error: tracker.entity=theirs stands in a page" in result.stderr


def test_a_chosen_part_has_its_pages_own_places_and_no_others(tmp_path):
    """`data=shards` says nothing of where these are kept: the page of it does, and no other page may."""
    page = tmp_path / "experiment" / "sly.yaml"
    page.parent.mkdir()
    page.write_text("# @package _global_\ndata: {cache: there}\n")
    command = [sys.executable, "-m", "gan_caption.prepare", "data=shards", f"data.root={tmp_path}"]
    plain, sly = (
        subprocess.run([*command, *more], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
                       capture_output=True, text=True, timeout=300)
        for more in ((), ("--config-dir", str(tmp_path), "+experiment=sly"))
    )  # fmt: skip
    assert "stands in a page" not in plain.stderr, "its own page may say so"
    assert "error: data.cache=there stands in a page" in sly.stderr


def test_a_pipe_and_what_has_no_end_are_no_pages(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        with pytest.raises(UserError, match=f"{name}.yaml is no file, and so no page"):
            check_page(tmp_path / f"{name}.yaml")
    with pytest.raises(UserError, match="is no file"):
        check_all_pages(tmp_path, own=tmp_path / "own")


def test_a_pickled_configuration_is_refused(start, tmp_path):
    (tmp_path / "run.pickle").write_bytes(pickle.dumps(Command(tmp_path / MARK)))
    result = start("name: mine", "--experimental-rerun", "run.pickle")
    assert result.returncode == 2
    assert "could run code" in result.stderr


TARGETS = [
    "os.system", "subprocess.Popen", "builtins.eval", "gan_caption.x.__import__",
    "gan_caption.rewards.base.__import__", "gan_caption.rewards.base.__builtins__.eval",
    "gan_caption.configuration.building.importlib.import_module", "gan_caption.configuration.launching.sys.exit",
    "gan_caption.files.os.system", "gan_caption.training.run.torch.load", "gan_caption.configuration.building.build",
    "gan_caption.configuration.launching.launch", "gan_caption.training.folders.write_text",
    "gan_caption.training.folders.inside", "gan_caption.configuration.launching.conf_dir",
    "gan_caption.data.annotations.read_json",
    "gan_caption.files.write_atomically",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_no_name_leads_out_of_the_parts(target):
    """Alone, and hidden in lists, dicts and other nodes."""
    node = {"_target_": target, "command": "true", "name": "os", "path": "x", "text": "x", "args": ["true"]}
    inner = {"_target_": "gan_caption.rewards.controls.OtherImageReward", "reward": node}
    for hidden in (
        node, inner,
        {"_target_": "gan_caption.rewards.mixture.Mixture", "parts": {"a": node}, "weights": {"a": 1.0}},
        {"_target_": "gan_caption.training.tracking.Trackers", "trackers": [inner]},
        {"_target_": "gan_caption.data.flickr8k.Flickr8k", "root": node},
    ):  # fmt: skip
        with pytest.raises(UserError, match="_target_"):
            check(hidden, object, path="part")
        with pytest.raises(UserError, match="_target_"):
            build(hidden, object, path="part")


THREADS = {
    "_target_": "gan_caption.training.threads.threads_of", "asked": 1, "weights": 1,
    "neighbours": {"_target_": "gan_caption.training.threads.Neighbours"},
}  # fmt: skip
RECORDS = {"_target_": "gan_caption.training.records.LocalTracker"}


@pytest.mark.parametrize("acting", [THREADS, RECORDS], ids=["threads", "records"])
@pytest.mark.parametrize("key", ["tokenizer", "encoder", "data", "metrics[0]", "generator", "decoding", "inside"])
def test_nothing_is_made_where_something_else_is_wanted(tmp_path, key, acting):
    """Classes of this package that write where they are told, in the place of a part that a run folder names."""
    kinds = {"tokenizer": Tokenizer, "encoder": Encoder, "data": Corpus, "metrics[0]": Metric, "generator": Generator,
             "decoding": Decoder}  # fmt: skip
    node = {**acting, "folder": str(tmp_path / "elsewhere")}
    kind = kinds.get(key, Discriminator)
    if key not in kinds:
        node = {"_target_": "gan_caption.discriminators.calibrated.Calibrated", "discriminator": node}
    refused = r"threads_of is a function that makes no part|records\.LocalTracker is not an? "
    with pytest.raises(UserError, match=refused):
        build(node, kind, path=key, vocabulary_size=9, pooled_size=3, grid_size=3)
    assert not (tmp_path / "elsewhere").exists()


def test_a_run_folder_cannot_allow_packages_by_way_of_a_function_that_reads_runs(tmp_path):
    """A corpus of another run's settings, which allow what they like: its code would run."""
    inner = {"_target_": "gan_caption.training.folders.read_settings", "folder": str(tmp_path), "allow": ["theirs"]}
    for function in ("gan_caption.training.setup.open_corpus", "gan_caption.training.tokenizers.load_tokenizer"):
        with pytest.raises(UserError, match=rf"^data\._target_: {function} is a function that makes no part"):
            build({"_target_": function, "settings": inner, "folder": str(tmp_path)}, Corpus, path="data")


def test_a_part_in_the_place_of_another_is_told_in_one_line():
    config = composed("+experiment=seqgan")
    config["discriminator"] = config["generator"]
    with pytest.raises(UserError, match=r"^discriminator: gan_caption\.generators\.\S+ is not a Discriminator$"):
        check_configuration(config)


def test_a_page_cannot_write_files_through_the_functions_of_this_package():
    """What once wrote into conf/: a path made by one function, given to another."""
    path = {"_target_": "gan_caption.training.folders.inside", "name": "written_by_a_page.yaml",
            "folder": {"_target_": "gan_caption.configuration.launching.conf_dir"}}  # fmt: skip
    with pytest.raises(UserError, match="a function that makes no part"):
        build(
            {"_target_": "gan_caption.training.folders.write_text", "path": path, "text": "x"}, object, path="phases.x"
        )
    assert not (conf_dir() / "written_by_a_page.yaml").exists()


def test_all_pages_of_this_package_but_its_sweeps_are_nothing_but_data():
    sets_hydra_up = (conf_dir(), conf_dir() / "sweep", conf_dir() / "cluster")  # sweeps, and where their runs go
    pages = [path for path in conf_dir().rglob("*.yaml") if path.parent not in sets_hydra_up]
    assert len(pages) > 40
    for page in pages:
        check_page(page)


class Command:
    """Runs a command when it is unpickled the careless way."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def pickles(mark: Path) -> dict[str, bytes]:
    """The command in every form that a careless reader would run."""
    assert pickle.loads(pickle.dumps(Command(mark))) == 0
    assert mark.exists(), "the attack works where nobody defends"
    mark.unlink()
    new, old = io.BytesIO(), io.BytesIO()
    torch.save({"phase": Command(mark)}, new)
    torch.save({"phase": Command(mark)}, old, _use_new_zipfile_serialization=False)
    array, archive = io.BytesIO(), io.BytesIO()
    np.save(array, np.array([[Command(mark)]], dtype=object))
    np.savez(archive, grid=np.array([[Command(mark)]], dtype=object))
    inside_npz = io.BytesIO()
    with zipfile.ZipFile(inside_npz, "w") as made:
        made.writestr("grid.npy", pickle.dumps(Command(mark)))
    plain = {f"pickle_{protocol}": pickle.dumps(Command(mark), protocol) for protocol in (0, 2, 4)}
    return plain | {
        "torch": new.getvalue(), "torch_old": old.getvalue(), "array": array.getvalue(),
        "archive": archive.getvalue(), "pickle_in_archive": inside_npz.getvalue(),
    }  # fmt: skip


def test_no_reader_runs_a_pickle(tmp_path):
    mark = tmp_path / MARK
    for name, content in pickles(mark).items():
        readers = {
            "last.pt": load_state,
            "best_mle.safetensors": lambda path: load_weights(nn.Linear(2, 3), path, vocabulary="words"),
            "ngrams.safetensors": lambda path: NgramGenerator.load(path, vocabulary="words"),
            "a.npy": part("encoder/precomputed", root=str(tmp_path), grid_size=1, regions=1).read,
            "a.npz": part("encoder/precomputed", root=str(tmp_path), grid_size=1, regions=1).read,
        }
        for file, read in readers.items():
            (tmp_path / file).write_bytes(content)
            with pytest.raises(UserError):
                read(tmp_path / file)
            assert not mark.exists(), f"{name} as {file} was executed"


def test_a_run_folder_has_plain_files_of_its_own(tmp_path):
    (tmp_path / "run").mkdir()
    config = tmp_path / "run" / "config.json"
    config.symlink_to(config)
    with pytest.raises(UserError, match=r"cannot be looked up|no run folder"):
        read_config(tmp_path / "run")
    config.unlink()
    os.mkfifo(config)  # from which one would read for ever
    with pytest.raises(UserError, match="not a plain file"):
        inside(tmp_path / "run", "config.json")
    config.unlink()
    config.symlink_to("/dev/zero")
    with pytest.raises(UserError, match="leads out of the folder"):
        read_config(tmp_path / "run")


CARELESS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "pickle.load",
    "pickle.loads", "pickle.Unpickler", "joblib.load", "marshal.loads",
}  # fmt: skip


def test_no_code_of_this_package_reads_what_could_run():
    """Every loader that can execute what it loads is called in the way that cannot; nothing evaluates text."""
    found = 0
    for path in sorted((ROOT / "gan_caption").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = ast.unparse(call.func)
            options = {one.arg: ast.unparse(one.value) for one in call.keywords}
            where = f"{path.name}, line {call.lineno}: {name}"
            if name == "torch.load":
                found += 1
                assert options.get("weights_only") == "True", where
            assert options.get("allow_pickle", "False") == "False", where
            assert options.get("shell", "False") == "False", where
            assert name not in CARELESS, where
    assert found == 2
