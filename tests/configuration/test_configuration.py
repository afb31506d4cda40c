"""The door: what it builds, and the message for everything that it refuses."""

import functools
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gan_caption.configuration.building import build, check
from gan_caption.configuration.launching import conf_dir
from gan_caption.errors import UserError
from gan_caption.training.tracking import Tracker, Trackers

ROOT = Path(__file__).parents[2]

PARTS = """
from __future__ import annotations
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol


class Generator:
    def __init__(self, *, vocabulary_size: int, hidden: int, dropout: float = 0.5, name: str | None = None,
                 as_: Literal["first", "last", 1] = "first", bias: bool = True, widths: list[int] | None = None,
                 pair: tuple[float, str] = (0.0, ""), weights: dict[str, float] | None = None) -> None:
        if hidden < 1:
            raise ValueError(f"hidden={hidden}: at least 1")
        if dropout > 1:
            raise ValueError("that is too much")
        self.__dict__.update({key: value for key, value in locals().items() if key != "self"})


class Reward(Protocol):
    def pay(self, caption: str) -> float: ...


class Length:
    def __init__(self, *, scale: float = 1.0) -> None:
        self.scale = scale

    def pay(self, caption: str) -> float:
        return self.scale * len(caption)


@dataclass
class Mixture:
    parts: Sequence[Reward]
    named: dict[str, Reward] = field(default_factory=dict)
    best: Reward | None = None
    vocabulary_size: int = 0

    def pay(self, caption: str) -> float:
        return sum(part.pay(caption) for part in self.parts)


class Contract(ABC):
    @abstractmethod
    def act(self) -> None: ...


class Nothing:
    pass


class _Private:
    pass


def make_length(*, scale: int) -> Length:
    return Length(scale=scale)


class Broken:
    def __init__(self, *, size: int = 0) -> None:
        raise RuntimeError("a bug")
"""
GENERATOR = {"_target_": "parts.models.Generator", "hidden": 8}


@pytest.fixture(autouse=True)
def parts(tmp_path, monkeypatch):
    """A small package of our own, so that the constructors are in plain sight."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "parts" / "models.py").write_text(PARTS)
    (tmp_path / "parts" / "needy.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "parts"]:
        del sys.modules[name]


def make(node, path="generator", **offered):
    return build(node, object, path=path, allowed=("parts.",), **offered)


def refusal(node, path="generator", **offered):
    """The message with which a node is refused; `check` must say the same as `build`."""
    offered = offered or {"vocabulary_size": 9}
    with pytest.raises(UserError) as built:
        make(node, path, **offered)
    with pytest.raises(UserError) as checked:
        check(node, object, path=path, allowed=("parts.",), offered=offered.keys())
    assert str(built.value) == str(checked.value)
    return str(built.value)


def generator(**values):
    return {**GENERATOR, **values}


def test_builds_with_what_is_set_and_what_is_offered():
    made = make(generator(dropout=0.1), vocabulary_size=9, somebody_elses=1)
    assert (made.vocabulary_size, made.hidden, made.dropout, made.bias) == (9, 8, 0.1, True)


def test_builds_from_omegaconf_with_interpolations():
    config = OmegaConf.create({"size": 5, "generator": {**GENERATOR, "hidden": "${size}", "widths": [1, "${size}"]}})
    made = make(config.generator, vocabulary_size=9)
    assert made.hidden == 5
    assert made.widths == [1, 5]
    assert type(made.widths) is list


def test_broken_interpolation_is_named():
    config = OmegaConf.create({"generator": {**GENERATOR, "hidden": "${sise}"}})
    assert refusal(config.generator) == "generator.hidden: Interpolation key 'sise' not found"


def test_nested_objects_in_lists_and_dicts_share_the_offer():
    length = {"_target_": "parts.models.Length", "scale": 2}
    inner = {"_target_": "parts.models.Mixture", "parts": []}
    node = {"_target_": "parts.models.Mixture", "parts": [length, inner], "named": {"a": length}, "best": length}
    made = make(node, "reward", vocabulary_size=9)
    assert made.pay("abc") == 6.0
    assert made.parts[1].vocabulary_size == made.vocabulary_size == 9
    assert made.named["a"].pay("a") == 2.0
    assert made.best.scale == 2.0


def test_functions_are_called():
    assert make({"_target_": "parts.models.make_length", "scale": 3}).scale == 3


def test_class_without_constructor():
    assert type(make({"_target_": "parts.models.Nothing"})).__name__ == "Nothing"
    message = "generator.size is not known. parts.models.Nothing knows no keys"
    assert refusal({"_target_": "parts.models.Nothing", "size": 1}) == message


@pytest.mark.parametrize(
    ("key", "given", "kept"),
    [
        ("dropout", 0, 0.0),
        ("name", None, None),
        ("name", "x", "x"),
        ("as_", "last", "last"),
        ("as_", 1, 1),
        ("bias", False, False),
        ("widths", (1, 2), [1, 2]),
        ("pair", [1, "x"], (1.0, "x")),
        ("weights", {"a": 1}, {"a": 1.0}),
    ],
)
def test_fitting_values(key, given, kept):
    value = getattr(make(generator(**{key: given}), vocabulary_size=9), key)
    assert value == kept
    assert type(value) is type(kept)


@pytest.mark.parametrize(
    ("key", "given", "message"),
    [
        ("hidden", "abc", "generator.hidden: 'abc' is not a valid integer"),
        ("hidden", True, "generator.hidden: True is not a valid integer"),
        ("hidden", 8.0, "generator.hidden: 8.0 is not a valid integer"),
        ("hidden", None, "generator.hidden: None is not a valid integer"),
        ("hidden", [8], "generator.hidden: [8] is not a valid integer"),
        ("hidden", {"a": 8}, "generator.hidden: {'a': 8} is not a valid integer"),
        ("dropout", "0.5x", "generator.dropout: '0.5x' is not a valid number"),
        ("dropout", True, "generator.dropout: True is not a valid number"),
        ("bias", 1, "generator.bias: 1 is not a valid boolean"),
        ("bias", "yes", "generator.bias: 'yes' is not a valid boolean"),
        ("name", 7, "generator.name: 7 is not a valid string or None (text needs quotes: '\"7\"')"),
        ("as_", "fist", "generator.as_: 'fist' is not one of 'first', 'last' or 1. Did you mean first?"),
        ("as_", True, "generator.as_: True is not one of 'first', 'last' or 1"),
        ("widths", [1, "x"], "generator.widths[1]: 'x' is not a valid integer"),
        ("widths", 3, "generator.widths: 3 is not a valid list or None"),
        ("pair", [1], "generator.pair: [1] is not a tuple[float, str]"),
        ("pair", [1, 2], "generator.pair[1]: 2 is not a valid string (text needs quotes: '\"2\"')"),
        ("weights", {"a": "b"}, "generator.weights.a: 'b' is not a valid number"),
        ("weights", {1: 1.0}, "generator.weights: the key 1: 1 is not a valid string (text needs quotes:"),
        ("hidden", "???", "generator.hidden has no value: give one, generator.hidden=... (an int)"),
    ],
)
def test_wrong_types_are_named_by_key(key, given, message):
    assert refusal(generator(**{key: given})).startswith(message)


def test_unknown_key_gets_the_nearest_name_and_all_allowed():
    assert refusal(generator(hiden=3)) == (
        "generator.hiden is not known. Did you mean generator.hidden? parts.models.Generator knows "
        "as_, bias, dropout, hidden, name, pair, weights, widths"
    )
    assert refusal(generator(zzz=3)).startswith("generator.zzz is not known. parts.models.Generator knows as_, bias")


def test_missing_key():
    message = "generator.hidden is missing: parts.models.Generator needs it, an int"
    assert refusal({"_target_": "parts.models.Generator"}) == message


def test_nested_mistakes_carry_the_full_key():
    node = {"_target_": "parts.models.Mixture", "parts": [{"_target_": "parts.models.Length", "scale": "x"}]}
    assert refusal(node, "reward") == "reward.parts[0].scale: 'x' is not a valid number"
    node = {"_target_": "parts.models.Mixture", "parts": [], "best": {"_target_": "parts.models.Length", "skale": 1}}
    assert refusal(node, "reward").startswith("reward.best.skale is not known. Did you mean reward.best.scale?")


def test_what_the_program_offers_cannot_be_set():
    message = "generator.vocabulary_size is set by the program: remove it from the configuration"
    assert refusal(generator(vocabulary_size=5)) == message


def test_wrong_kind_of_object():
    node = {"_target_": "parts.models.Mixture", "parts": [{"_target_": "parts.models.Nothing"}]}
    with pytest.raises(UserError, match=r"^reward\.parts\[0\]: parts\.models\.Nothing is not a Reward$"):
        make(node, "reward")
    node = {"_target_": "parts.models.Mixture", "parts": [], "best": {"_target_": "parts.models.Nothing"}}
    with pytest.raises(UserError, match=r"^reward\.best: parts\.models\.Nothing is not a Reward or None$"):
        make(node, "reward")


def test_constructors_refusals_carry_the_key():
    with pytest.raises(UserError, match=r"^generator\.hidden=-1: at least 1$"):
        make(generator(hidden=-1), vocabulary_size=9)
    with pytest.raises(UserError, match=r"^generator: that is too much$"):
        make(generator(dropout=2), vocabulary_size=9)


def test_bugs_stay_bugs():
    with pytest.raises(RuntimeError, match="a bug"):
        make({"_target_": "parts.models.Broken"})
    with pytest.raises(ModuleNotFoundError, match="a_package_that_nobody_has"):
        make({"_target_": "parts.needy.Thing"})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "os.system",
            "generator._target_: os.system is not allowed; allowed are public names in parts.*. Give allow=os ",
        ),
        ("partsy.models.X", "generator._target_: partsy.models.X is not allowed"),
        ("parts.models._Private", "generator._target_: parts.models._Private is not allowed"),
        ("parts.models.Generator.__init__", "generator._target_: parts.models.Generator.__init__ is not allowed"),
        ("parts.models.os.system", "generator._target_: parts.models.os.system: there is no module os in parts.models"),
        ("parts.models.os", "generator._target_: parts.models defines no class or function os"),
        ("parts.models.dataclass", "generator._target_: parts.models defines no class or function dataclass"),
        (
            "parts.models",
            "parts defines no class or function models. Did you mean parts.models? It defines models, needy",
        ),
        (
            "parts.models.Genrator",
            "Genrator. Did you mean parts.models.Generator? It defines Broken, Contract, Generator, ",
        ),
        (
            "parts.modells.Generator",
            "there is no module modells in parts. Did you mean parts.models? It has models, needy",
        ),
        ("parts.models.Contract", "generator._target_: parts.models.Contract is a contract; name a class that fulfils"),
        ("parts.models.Reward", "generator._target_: parts.models.Reward is a contract; name a class that fulfils it"),
        ("parts..X", "generator._target_: 'parts..X' is not the dotted name of a class"),
        (7, "generator._target_: 7 is not the dotted name of a class"),
        (None, "generator._target_: None is not the dotted name of a class"),
    ],
)
def test_refused_targets(target, message):
    assert message in refusal({"_target_": target})


@pytest.mark.parametrize("node", [None, "lstm", {}, {"hidden": 3}, [1]])
def test_nothing_to_build(node):
    message = refusal(node)
    assert message == f"generator: {node!r} names nothing to build: it needs _target_, the dotted name of a class"


def test_default_door_lets_only_this_package_in():
    made = build({"_target_": "gan_caption.training.tracking.Trackers", "trackers": []}, Trackers, path="x")
    assert type(made).__name__ == "Trackers"
    with pytest.raises(UserError, match=r"allowed are public names in gan_caption\.\*\. Give allow=pathlib as well"):
        build({"_target_": "pathlib.Path"}, object, path="x")
    with pytest.raises(UserError, match=r"gan_caption\.configuration\.launching defines no class or function Path"):
        build({"_target_": "gan_caption.configuration.launching.Path"}, object, path="x")


def test_every_tracker_page_builds(tmp_path):
    for page in sorted((conf_dir() / "tracker").glob("*.yaml")):
        offered = ("folder", "group", "name", "job_type", "configuration", "run_id")
        check(OmegaConf.load(page), Tracker, path="tracker", offered=offered)


def test_conf_dir_is_inside_an_installed_package_and_beside_a_checkout(tmp_path):
    assert (conf_dir() / "tracker" / "local.yaml").is_file()
    for place in ("site/gan_caption/conf", "checkout/conf"):
        home = tmp_path / place.split("/")[0]
        (home / "gan_caption").mkdir(parents=True)
        shutil.copytree(ROOT / "gan_caption" / "untrusted", home / "gan_caption" / "untrusted")
        shutil.copytree(ROOT / "gan_caption" / "configuration", home / "gan_caption" / "configuration")
        for name in ("errors.py", "files.py", "__init__.py"):
            (home / "gan_caption" / name).write_bytes((ROOT / "gan_caption" / name).read_bytes())
        code = (
            "from gan_caption.configuration.launching import conf_dir\n"
            "try: print(conf_dir())\nexcept Exception as e: print(e)"
        )
        say = [sys.executable, "-c", code]
        before = subprocess.run(say, cwd=home, capture_output=True, text=True, check=True).stdout
        assert "install the package again" in before
        (tmp_path / place).mkdir()
        after = subprocess.run(say, cwd=home, capture_output=True, text=True, check=True).stdout
        assert after.strip() == str((tmp_path / place).resolve())


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (
            "gan_caption.configuration.launching, gan_caption.files, gan_caption.training.tracking, "
            "gan_caption.training.progress",
            {"torch", "numpy", "hydra", "omegaconf", "pydantic", "wandb", "rich", "PIL"},
        ),
        ("gan_caption.experiment", {"nltk", "scipy", "pandas", "matplotlib", "transformers", "torchvision", "wandb"}),
    ],
)
def test_imports_stay_light(modules, heavy):
    code = f"import sys, {modules}; print(sorted({heavy} & sys.modules.keys()))"
    say = [sys.executable, "-c", code]
    result = subprocess.run(say, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


ENTRY = """
import os, signal, sys
from pathlib import Path
from gan_caption.configuration.launching import launch
from gan_caption.errors import UserError

def work(config):
    if config.do == "user":
        raise UserError("no such folder: /x")
    if config.do == "bug":
        raise RuntimeError("a bug")
    if config.do == "stop":
        os.kill(os.getpid(), signal.SIGINT)
    if config.do == "missing":
        config.needed
    if config.do == "broken":
        config.broken
    print("worked", config.do)

launch(work, folder=Path(sys.argv.pop(1)))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Start an entry point in a process of its own."""
    home = tmp_path_factory.mktemp("entry")
    (home / "config.yaml").write_text("do: fine\nneeded: ???\nbroken: ${nowhere}\ngenerator:\n  hidden: 3\n")
    (home / "entry.py").write_text(ENTRY)

    def run(*arguments):
        command = [sys.executable, "entry.py", str(home), *arguments]
        environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
        # Whoever starts the tests in the background may have them ignore Ctrl-C, which processes inherit.
        listen = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, preexec_fn=listen)

    return run


@pytest.mark.parametrize(
    ("do", "code", "message"),
    [
        ("fine", 0, ""),
        ("user", 2, "error: no such folder: /x\n"),
        ("missing", 2, "error: needed has no value: give one, needed=...\n"),
        ("broken", 2, "error: broken: Interpolation key 'nowhere' not found\n"),
        ("stop", 130, "interrupted: do=stop\n"),
    ],
)
def test_entry_point_ends_cleanly(run, do, code, message):
    result = run(f"do={do}")
    assert (result.returncode, result.stderr) == (code, message)
    assert result.stdout == ("worked fine\n" if do == "fine" else "")


def test_bugs_keep_their_traceback(run):
    result = run("do=bug")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "RuntimeError: a bug" in result.stderr


def test_sweep_goes_on_and_lists_what_failed(run):
    result = run("-m", "do=user,fine,bug", "generator.hidden=4")
    assert result.returncode == 1
    assert "worked fine" in result.stdout
    assert "error: no such folder: /x (in the run do=user generator.hidden=4)\n" in result.stderr
    assert "RuntimeError: a bug" in result.stderr
    assert result.stderr.endswith(
        "error: 2 of 3 runs failed:\n"
        "  do=user generator.hidden=4: no such folder: /x\n"
        "  do=bug generator.hidden=4: a bug, see its traceback above\n"
    )


def test_mistakes_in_overrides_name_the_key_without_a_traceback(run):
    result = run("generator.hiden=4")
    assert result.returncode == 1
    assert "generator.hiden" in result.stderr
    assert "Traceback" not in result.stderr
