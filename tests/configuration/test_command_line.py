"""Words as they are typed into a shell, and commands as they are printed: both mean to Hydra what they say."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from gan_caption.configuration.command_line import read_command_line
from gan_caption.configuration.launching import conf_dir
from gan_caption.configuration.overrides import command, setting, typed
from gan_caption.errors import UserError
from tests.shells import SHELLS, pasted
from tests.started import ended

ROOT = Path(__file__).parents[2]
NAMES = [
    "plain", "résultats/été", "日本", "two words", " before", "after ", "a,b", "[a]", "a]b", "a[1].jpg",
    "photo (1).jpg", "(a)", "{a}", "it's", '"said"', "'", '"', "''", "a\\b", "\\", "ends\\", "\\'", "${seed}",
    "\\${seed}", "$HOME", "a=b", "~", "~/a", "~no_such_user", "2024", "2024_01", "007", "1_000", "1e3", "2.5", "true",
    "null", "nan", "#a", "a;b", "a&b", "a|b", "a<b>c", "a\tb", "a\nb", "100%", "!x", "`id`", "$(id)", "a:b", "C:\\a",
    "*.jpg", "a?b", "@a", "+a", "-a", "choice(a,b)", "http://a:8/b?c=1&d=2",
]  # fmt: skip
"""Of folders and files that somebody may have."""
MANY = 200
"""Texts that a page of these tests has keys for: Hydra takes a tenth of a second for a page, whatever it says."""


def test_help_lists_every_choice_of_every_group():
    said = ended("gan_caption.train", "--help", folder=ROOT).stdout
    told = {match[1]: match[2].split(", ") for match in re.finditer(r"^(\w[\w/@.]*): (.+)$", said, re.M)}
    groups = {path.name for path in Path(conf_dir()).iterdir() if path.is_dir()}
    for group in groups & told.keys() - {"study"}:  # of which the settings below have a line of their own
        assert set(told[group]) >= {path.stem for path in Path(conf_dir(), group).glob("*.yaml")}
    assert {"experiment", "data", "encoder", "generator", "discriminator", "decoding", "tracker"} <= told.keys()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """An entry point's page."""
    path = tmp_path / "conf" / "entry.yaml"
    (path.parent / "experiment").mkdir(parents=True)
    many = ", ".join(f"t{index}: null" for index in range(MANY))
    path.write_text(
        "defaults:\n  - _self_\n  - data: null\n"
        f"run: ???\nseed: 3\nimages: []\nsize: {{root: a, other: b}}\ntexts: {{{many}}}\n"
    )
    return path


@pytest.fixture
def mean(page):
    """What a command's words mean: its configuration."""

    def read(*words: str) -> dict:
        asked = read_command_line(words, entry=page)[1]
        with initialize_config_dir(str(page.parent), version_base="1.3"):
            return OmegaConf.to_container(compose("entry", asked.overrides), resolve=True)

    return read


# Words that are typed


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("word", "key", "meant"),
    [
        ("run=~/flickr8k", "run", "/home/me/flickr8k"), ("size.root=~/flickr8k", "size.root", "/home/me/flickr8k"),
        ("run=~", "run", "/home/me"), ("run=~no_such_user/a", "run", "~no_such_user/a"), ("run=a~b", "run", "a~b"),
        ("run=2024_01_15", "run", "2024_01_15"), ("run=1_000", "run", 1000),
        ("images=[2024_01,b]", "images", ["2024_01", "b"]),
        ("run=résultats/été", "run", "résultats/été"), ("run=日本", "run", "日本"), ("run=a=b", "run", "a=b"),
        ("'run=my photos'", "run", "my photos"), ("'run=photo (1).jpg'", "run", "photo (1).jpg"),
        ("'run=(a)'", "run", "(a)"), ("run='a[1]'", "run", "a[1]"), ('run="it\'s"', "run", "it's"),
        ("'run=a;b&c'", "run", "a;b&c"), ("run=100%", "run", "100%"), ("run=C:é", "run", "C:é"),
        ("'run=a#b'", "run", "a#b"), ("run='é\\,b'", "run", "é,b"), ("'run=é${seed}'", "run", "é3"),
        ("'run=http://a:8/b?c=1&d=2'", "run", "http://a:8/b?c=1&d=2"), ("run='a(b,c'", "run", "a(b,c"),
        ("'images=[~/a,~/b]'", "images", ["/home/me/a", "/home/me/b"]),
        ("'images=[é.jpg, photo (1).jpg,a=b,2]'", "images", ["é.jpg", "photo (1).jpg", "a=b", 2]),
        ("'images=[[a].jpg,\"é,é\"]'", "images", ["[a].jpg", "é,é"]), ("'images=[a,[é,2]]'", "images", ["a", ["é", 2]]),
        ("'size={root: ~/a, other: 2}'", "size", {"root": "/home/me/a", "other": 2}),
        # What Hydra understands means what it means to Hydra.
        ("run=2024", "run", 2024), ("run=null", "run", None), ("'run=a b'", "run", "a b"), ("run=a:b", "run", "a:b"),
        ("'images=[a,b]'", "images", ["a", "b"]), ("'run=\"a,b\"'", "run", "a,b"), ("'run=${seed}'", "run", 3),
        ("'size={root: 2}'", "size", {"root": 2, "other": "b"}), ("run=", "run", ""), ("+more=1", "more", 1),
        ("'images=sort([b,a])'", "images", ["a", "b"]),
    ],
)  # fmt: skip
def test_a_word_means_what_is_typed(mean, shell, word, key, meant, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    config = mean(*pasted(f"python {word}", shell))
    assert OmegaConf.select(OmegaConf.create(config), key) == meant


@pytest.mark.parametrize(
    ("words", "swept"),
    [
        (["-m", "run=a,b"], ["a", "b"]), (["-m", "run=é,b"], ["é", "b"]), (["-m", "run=choice(é,[1])"], ["é", [1]]),
        (["-m", "run=~/a,~/b"], ["/home/me/a", "/home/me/b"]), (["run=é,b", "-m"], ["é", "b"]),
        (["seed=1", "-m", "run=a,b"], ["a", "b"]), (["+sweep=grid", "run=a,b"], ["a", "b"]),
    ],
)  # fmt: skip
def test_a_sweep_stays_a_sweep(page, words, swept, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    asked = read_command_line(words, entry=page)[1]
    (run,) = [one for one in OverridesParser.create().parse_overrides(asked.overrides) if one.key_or_group == "run"]
    assert [getattr(one, "text", one) for one in run.value().list] == swept


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--experiment", "seqgan"], "--experiment seqgan: settings are written without dashes: type +experiment="),
        (["--experiment=seqgan"], "--experiment=seqgan: settings are written without dashes: type +experiment=seqgan"),
        (["--seed", "3", "run=a"], "--seed 3: settings are written without dashes: type seed=3"),
        (["--data", "coco"], "--data coco: settings are written without dashes: type data=coco"),
        (["--run=a"], "argument --run/-r: ignored explicit argument 'a'; settings are written key=value"),
        (["--config-dir"], "argument --config-dir/-cd: expected one argument"),
        (["--images"], "--images: settings are written without dashes"),
        (["--multirn", "run=a,b"], "--multirn is no option. Did you mean --multirun? Settings are written key=value"),
        (["--exp", "a"], "--exp a is no option."), (["-x"], "-x is no option."),
        (["--experimental-rerun", "a.pickle"], "--experimental-rerun reads a pickle, which could run code"),
        (["--experimental-rerun=a.pickle"], "--experimental-rerun reads a pickle, which could run code"),
        (["--experimental-rerun="], "--experimental-rerun reads a pickle, which could run code"),
        (["--config-path", "a"], "would replace this program's own page; --config-dir adds pages"),
        (["--config-name", "a"], "would replace this program's own page; --config-dir adds pages"),
        (["-m", "data=null,coco"], "data=null,coco: null is none of the pages of data"),
        (["gate@phases.adversarial.gate=null"], "null is none of the pages of gate, of which one is chosen here"),
        (["seqgan"], "seqgan is no setting: they are written key=value"), (["~/a"], "~/a is no setting"),
        (["é=3"], "é=3 is no setting"), (["a b=c"], "a b=c is no setting"), (["=3", "["], "[ is no setting"),
        (["run=a,b"], "run=a,b: commas divide the values of a sweep, which takes -m. A list is typed 'run=[a,b]', "
                      "a name with commas 'run=\"a,b\"'"),
        (["critic.steps=é"], "critic.steps is now discriminator_training.steps"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_line_that_says_what_to_type(page, words, told):
    with pytest.raises(UserError) as refused:
        read_command_line(words, entry=page)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "word", "meant"),
    [
        ("config", "tracker=null", "~tracker"), ("config", "a.b=null", "a.b=null"),
        ("demo", "decoding=null", "~decoding"), ("evaluate", "data=null", "~data"),
        ("config", "resume=null", "resume=null"), ("config", "generator=lstm", "generator=lstm"),
    ],
)  # fmt: skip
def test_no_choice_of_a_group_is_null_to_a_user_and_left_out_to_hydra(entry, word, meant):
    (told,) = read_command_line([word], entry=conf_dir() / f"{entry}.yaml")[1].overrides
    assert told == meant


@pytest.mark.parametrize(
    ("entry", "words", "told"),
    [
        ("config", ["+experiment=null"], "null is none of the pages of experiment"),
        ("config", ["study=null"], "null is none of the pages of study"), ("config", ["generator=1"], "1 is none"),
        ("config", ["+experiment=true"], "true is none of the pages"), ("evaluate", ["decoding=1"], "1 is none"),
        ("config", ["hydra/launcher=null"], "null is none of the pages of hydra/launcher"),
        ("config", ["-m", "+experiment=mle,null"], "null is none of the pages of experiment"),
        ("config", ["-m", "seed='interval(1, 3)'"], "a search draws values from an interval (+sweep=search)"),
        ("config", ["+sweep=grid", "seed='interval(1, 3)'"], "a search draws values from an interval"),
        ("caption", ["-m", "run=a,b", "out=x.jsonl"], "out=x.jsonl: each run of a sweep would write it anew"),
    ],
)  # fmt: skip
def test_what_hydra_would_answer_by_a_traceback_or_one_file_is_a_line(entry, words, told):
    with pytest.raises(UserError) as refused:
        read_command_line([word.replace("'", "") for word in words], entry=conf_dir() / f"{entry}.yaml")
    assert told in str(refused.value)


def test_a_sweep_may_write_several_files_and_a_search_draws_from_intervals():
    read_command_line(["-m", "run=a,b", "out=x.jsonl,y.jsonl"], entry=conf_dir() / "caption.yaml")
    for by in ("+sweep=search", "hydra/sweeper=optuna", "+sweep=mine"):
        read_command_line(["-m", by, "seed=interval(1, 3)"], entry=conf_dir() / "config.yaml")
    read_command_line(["-m", "seed=1,2"], entry=conf_dir() / "config.yaml")


@pytest.mark.parametrize("word", ["log_every=1", "+save_every=3", "++tokenizer=characters", "max_length=50",
                                  "vocabulary.min_count=9", "+generator@x=lstm", "~encoder"])  # fmt: skip
@pytest.mark.parametrize("entry", ["evaluate", "export", "calibrate", "caption", "compare"])
def test_what_a_run_was_trained_with_is_refused_where_it_would_change_nothing(entry, word):
    with pytest.raises(UserError, match=f"is a setting of training, and `{entry}` takes none: leave it out"):
        read_command_line([word], entry=conf_dir() / f"{entry}.yaml")
    read_command_line([word], entry=conf_dir() / "config.yaml")


ENTRY_POINTS = [
    "train", "prepare", "evaluate", "compare", "transfer", "calibrate", "caption", "demo", "export", "dashboard",
    "language_model",
]  # fmt: skip


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="this system has no such signal")
def test_a_reader_that_has_gone_is_no_bug():
    """As in `--help | head`."""
    command = f"set -o pipefail; {sys.executable} -m gan_caption.train --help | true"
    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, "")


PRINTS = """
from gan_caption.configuration.launching import launch
launch(lambda config: print("x\\n" * 100_000), config_name="demo")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="this system has no such signal")
def test_a_task_whose_reader_has_gone_has_no_bug_either():
    command = f"set -o pipefail; {sys.executable} -c '{PRINTS}' run=x | head -1"
    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + signal.SIGPIPE, "x\n", "")


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_no_entry_point_reads_a_pickle_by_any_name(entry_point, tmp_path):
    """Hydra's own parser takes each beginning of `--experimental-rerun` for it."""
    (tmp_path / "a.pickle").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    for word in ("--experimental-rerun", "--experiment", "--ex"):
        told = ended(
            f"gan_caption.{entry_point}", word, "a.pickle", folder=tmp_path, environment={"PYTHONPATH": str(ROOT)}
        )
        assert (told.returncode, told.stdout, told.stderr.count("\n")) == (2, "", 1)
        assert told.stderr.startswith(f"error: {word}")
    assert not (tmp_path / "ran").exists()


def test_every_entry_point_is_among_these():
    launched = {path.stem for path in (ROOT / "gan_caption").glob("*.py") if "launch(" in path.read_text()}
    assert launched == set(ENTRY_POINTS)


# Commands that are printed


@pytest.mark.parametrize("shell", SHELLS)
def test_a_printed_setting_is_its_text_again(mean, shell):
    words = [typed(f"texts.t{index}", name) for index, name in enumerate(NAMES)]
    read = mean(*(word for one in words for word in pasted(f"python {one}", shell)))
    assert texts_of(read, len(NAMES)) == NAMES
    lists = [setting(f"texts.t{index}", [name, "b", name]) for index, name in enumerate(NAMES)]
    read = mean(*pasted(command("entry", lists), shell)[2:])
    assert texts_of(read, len(NAMES)) == [[name, "b", name] for name in NAMES]
    everything = pasted(command("entry", [setting("images", NAMES), setting("run", Path("a/b c"))]), shell)
    assert everything[:2] == ["-m", "gan_caption.entry"]
    assert mean(*everything[2:]) == {**mean("run=a/b c"), "images": NAMES}


def test_any_text_is_printed_so_that_it_is_itself_again(mean):
    """Of texts made of all that Hydra, OmegaConf and shells read."""
    drawn = random.Random(0)
    parts = [*"ab~é$'\"\\{}[](),:= #\t\n%.-+*@?|;&<>!`^/_0", "${", "}", "\\'", "choice(", "null", "1e3", "true", "é日"]
    texts = ["".join(drawn.choices(parts, k=drawn.randint(1, 8))) for _ in range(MANY)]
    read = mean("run=a", setting("images", texts), *(setting(f"texts.t{row}", text) for row, text in enumerate(texts)))
    assert read["images"] == texts
    assert texts_of(read, MANY) == texts


def texts_of(read: dict, number: int) -> list:
    """What was said of the first keys of `texts`."""
    return list(read["texts"].values())[:number]


def test_plain_names_are_printed_plainly():
    assert command("compare", [setting("runs", ["outputs/a", "b-2"]), setting("out", Path("c/report"))]) == (
        "python -m gan_caption.compare 'runs=[outputs/a,b-2]' out=c/report"
    )


ENTRY = """
import json, sys
from pathlib import Path
from gan_caption.configuration.launching import launch
from gan_caption.configuration.running import command_of
from omegaconf import OmegaConf

def work(config):
    from hydra.core.hydra_config import HydraConfig
    print(json.dumps([OmegaConf.to_container(config, resolve=True), command_of("entry", HydraConfig.get(), "seed=9")]))

launch(work, config_name="entry", folder=Path(__file__).parent / "conf")
"""


@pytest.mark.parametrize("searched", [False, True])
@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_of_a_run_repeats_it_also_with_pages_of_ones_own(page, tmp_path, shell, searched):
    (tmp_path / "entry.py").write_text(ENTRY)
    mine = tmp_path / "mes pages, été" / "data"
    mine.mkdir(parents=True)
    (mine / "own.yaml").write_text("root: a\n")

    def start(words):
        say = [sys.executable, "entry.py", *words]
        told = subprocess.run(say, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)

    awkward = "it's résumé (1), $HOME"
    given = ["+data.n=4", "data=own", "images=[a,é b]", "seed=${data.n}", setting("run", awkward)]
    place = setting("hydra.searchpath", [f"file://{mine.parent}"]) if searched else f"--config-dir={mine.parent}"
    config, repeated = start([place, *given])
    assert (config["run"], config["seed"], config["data"]) == (awkward, 4, {"root": "a", "n": 4})
    again, _ = start(pasted(repeated, shell)[2:])
    assert again == {**config, "seed": 9}


def test_commands_are_written_by_one_function():
    """No other place puts values into the text of a command that starts an entry point."""
    for path in sorted((ROOT / "gan_caption").rglob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not re.search(r"(python -m gan_caption\.|wandb sync)[^`]*\{", line), f"{path}: {line}"


def test_the_pages_of_this_package_are_known_to_it():
    entry = conf_dir() / "config.yaml"
    for group, meant in (("experiment", "+experiment=a"), ("sweep", "+sweep=a"), ("encoder", "encoder=a")):
        with pytest.raises(UserError, match=f"type {meant.replace('+', '[+]')}$"):
            read_command_line([f"--{group}", "a"], entry=entry)
