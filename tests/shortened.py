"""What stands first on PATH where the documents' commands run, so that they end soon; their text is not changed.

`main("python", "-m", "gan_caption.train", ...)` is that training with overrides added.
Nothing else is: a training and a comparison's judge get small sizes, a tiny language model stands for smollm2, the
study of the jar is asked to be quick, a study of hours is only started, `pytest` collects the tests of one file, `mypy`
looks at one, and `pip` only checks that the extras exist.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import re
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from tests.forks import WITHIN
from tests.tiny_sizes import TINY

ROOT = Path(__file__).parents[1]
PROGRAMS = ("python", "torchrun", "pip", "pytest", "ruff", "mypy")
SMALL = [
    *TINY, "phases.mle.epochs=1", "phases.mle.validations_per_epoch=1",
    "adversarial.steps=2", "adversarial.images_per_batch=8",
    "discriminator_training.steps=2", "discriminator_training.steps_per_update=2",
    "data.val=12", "data.test=12",  # a confidence and a comparison divide them into five folds
]  # fmt: skip
PHOTOGRAPHS = [one for one in SMALL if not one.startswith(("data.", "encoder.", "phases.words."))]
ORACLE = [
    *(one for one in PHOTOGRAPHS if not one.startswith("max_length=")),
    "data.words=50", "data.train=80", "data.val=20", "data.test=20", "adversarial.rollouts=2", "text_cnn.filters=8",
    "text_cnn.widths=[1,2,3]",
]  # fmt: skip
TINY_LM = "tiny-lm"
"""The folder of a language model that stands for smollm2: nobody waits for a package of a hundred megabytes."""
SEARCH = ["hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2"]

STARTED = {
    *(f"experiments.{name}.run" for name in (
        "clusters", "demo", "estimators", "export", "flickr8k", "fuzzing", "gpu", "methods_on_scenes", "metric_parity",
        "policies", "ranks", "ratio_on_flickr8k", "ratio_on_scenes", "reports", "seqgan_oracle", "soak", "streaming",
        "sweeps", "transfer",
    )),
    *(f"experiments.speed.{name}.run" for name in (
        "allocator", "beam", "contention", "extraction", "growth", "hours", "likelihood", "memory", "metrics",
        "minutes", "products", "peer", "policies", "profile", "reward", "rollouts", "sampling", "self_critical",
        "start",
    )),
    "experiments.chair.agreement", "experiments.metric_parity.characters", "experiments.ranks.kills",
    "tests.golden.losses",
}  # fmt: skip
"""Take minutes or hours, a browser, or a real data set: they are imported, and their arguments are looked at.

One that is asked to be `quick` is run.
"""


def is_only_started(words: Sequence[str]) -> bool:
    """Tell whether what follows `python` takes too long to be run."""
    return len(words) > 1 and words[0] == "-m" and words[1] in STARTED and "quick" not in words


def sizes(arguments: Sequence[str]) -> list[str]:
    """Return what makes a command short: of a training its sizes, of most others nothing."""
    if "language_model=smollm2" in arguments:
        return [*sizes([one for one in arguments if one != "language_model=smollm2"]), f"language_model={TINY_LM}"]
    if "gan_caption.train" in arguments:
        data = next((one.partition("=")[2] for one in arguments if one.startswith("data=")), "scenes")
        small = {"scenes": SMALL, "scenes_unseen": SMALL, "oracle": ORACLE}.get(data, PHOTOGRAPHS)
        if any(one.startswith("tracker=") for one in arguments):
            small = [one for one in small if one != "tracker=local"]
        tiny = [f"lm.model={TINY_LM}"] if "generator=pretrained_lm" in arguments else []
        return [*small, *tiny, *(SEARCH if "+sweep=search" in arguments else [])]
    if "gan_caption.compare" in arguments:
        return ["judge.epochs=1", "judge.hidden=16", "judge.embedding=16"]
    if "gan_caption.demo" in arguments:
        return ["port=0"]
    if "experiments.scenes_seqgan.run" in arguments:
        return SMALL
    if "experiments.metric_parity.kinds" in arguments:
        return ["quick"]  # which leaves the tests' own file alone
    return []


def start(name: str, arguments: Sequence[str]) -> None:
    """Import a study and look whether it takes these arguments, and whether the folders that they name are there."""
    module = importlib.import_module(name)
    for one in arguments:
        path = one.partition("=")[2] or one
        if "/" in path and not Path(path).exists():
            sys.exit(f"{name}: there is no {path}")
    wanted = inspect.signature(module.main).parameters
    if "argparse" in vars(module):
        _parse(module.main, [name, *arguments])
    elif not any("list[str]" in str(one.annotation) for one in wanted.values()):
        inspect.signature(module.main).bind(*arguments)
    if "size" in wanted and arguments and f'"{arguments[0]}"' not in inspect.getsource(module.main):
        sys.exit(f"{name}: it knows no {arguments[0]}")


def _parse(main, words: list[str]) -> None:
    """Let a study parse its arguments, and go no further."""
    from gan_caption.errors import UserError

    parse = argparse.ArgumentParser.parse_args

    def only_parse(parser: argparse.ArgumentParser) -> None:
        parse(parser)
        sys.exit(0)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", only_parse), mock.patch.object(sys, "argv", words):
        try:
            main()
        except UserError as error:
            if "pip install" not in str(error):  # an extra that is not among those of the tests
                raise


def check_extras(arguments: Sequence[str]) -> None:
    """Look whether the extras that are to be installed exist."""
    offered = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M))
    for asked in re.findall(r"\[(.*?)\]", " ".join(arguments)):
        missing = set(asked.split(",")) - offered
        if missing:
            sys.exit(f"there are no extras {missing}")


def main(program: str, *arguments: str) -> None:
    """Do what stands for the program: run a module as `python -m` does, or become another program."""
    if program == "pip":
        check_extras(arguments)
    elif program in ("pytest", "ruff", "mypy"):  # of the checkout itself, where nobody's own files lie
        os.chdir(ROOT)
        if program == "pytest":
            _run("pytest", *arguments, "--collect-only", "-q", "tests/test_files.py")
        else:
            _become("-m", program, *arguments, *(["gan_caption/errors.py"] if program == "mypy" else []))
    elif program == "torchrun":
        _run("torch.distributed.run", *arguments, *sizes(arguments))
    elif program == WITHIN:  # a study's own, of the sizes that it gives
        _run(*arguments[1:])
    elif is_only_started(arguments):
        start(arguments[1], arguments[2:])
    elif arguments[0] == "-m":
        _run(*arguments[1:], *sizes(arguments))
    else:
        _become(*arguments)


def _run(module: str, *arguments: str) -> None:
    """Do what `python -m` does."""
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _become(*arguments: str) -> None:
    os.execv(sys.executable, [sys.executable, *arguments])
