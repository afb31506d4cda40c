"""Every command of every document, as pasted into bash.

They run in a folder that looks like a checkout, with finished runs, photographs and captions in it, and with a HOME
that holds a made-up Flickr8k and a made-up COCO. `shortened.py` says what makes them short; `forks.py` runs them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from tests import tiny_lm
from tests.documents import ASSIGNMENT, ROOT, commands, documents, scripts
from tests.forks import WITHIN
from tests.shortened import PROGRAMS, STARTED, TINY_LM, is_only_started
from tests.test_readme import own_files
from tests.wandb_files import WandbServer

pytestmark = pytest.mark.slow

LONGEST = 900
"""Seconds after which a command counts as one that hangs."""
NOT_RUN = {"pre-commit install": "needs a git repository of one's own"}
SERVES = ("gan_caption.demo", "tensorboard --logdir")
"""They go on until Ctrl-C, and are asked for their page."""
NO_SLURM = "there is no Slurm here"
COLOURS = ("red", "green", "blue", "white")


@dataclass(frozen=True)
class Told:
    """A command, how it was dealt with, and what is wrong with it."""

    command: str
    kind: str
    complaint: str = ""
    seconds: float = 0.0


# --- The place ---


def photograph(path: Path, row: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), COLOURS[row % len(COLOURS)]).save(path)


def said(row: int) -> list[str]:
    """What five people say of a photograph."""
    colour = COLOURS[row % len(COLOURS)]
    return [f"A {colour} {thing} is here ." for thing in ("wall", "dog", "field", "sky", "car")]


def make_flickr8k(root: Path) -> None:
    """Twenty-four photographs for training, eight each for dev and test."""
    tokens, lists = [], {"train": range(24), "dev": range(24, 32), "test": range(32, 40)}
    for split, rows in lists.items():
        for row in rows:
            photograph(root / "Flicker8k_Dataset" / f"{row}.jpg", row)
            tokens += [f"{row}.jpg#{index}\t{text}\n" for index, text in enumerate(said(row))]
        (root / f"Flickr_8k.{split}Images.txt").write_text("".join(f"{row}.jpg\n" for row in rows))
    (root / "Flickr8k.token.txt").write_text("".join(tokens))


def make_coco(root: Path) -> None:
    """Karpathy's annotations of as many photographs."""
    images = []
    for row in range(40):
        split = "train" if row < 24 else "val" if row < 32 else "test"
        name = f"COCO_val2014_{row:012}.jpg"
        photograph(root / "val2014" / name, row)
        sentences = [{"raw": text} for text in said(row)]
        images.append({"filename": name, "filepath": "val2014", "split": split, "cocoid": row, "sentences": sentences})
    (root / "dataset_coco.json").write_text(json.dumps({"images": images}))


def make_captions(folder: Path) -> None:
    """What `gan_caption.score` reads."""
    told = [{"image_id": row, "caption": text} for row in range(8) for text in said(row)]
    written = [{"image_id": row, "caption": said(row)[0]} for row in range(8)]
    (folder / "references.json").write_text(
        json.dumps({"images": [{"id": row} for row in range(8)], "annotations": told})
    )
    (folder / "results.json").write_text(json.dumps(written))


def make_programs(folder: Path) -> None:
    """What stands first on PATH."""
    folder.mkdir()
    asked = shlex.join([sys.executable, "-IS", str(ROOT / "tests" / "forks.py"), str(socket_of(folder.parent))])
    scripts = {name: f'exec {asked} {name} "$@"' for name in PROGRAMS}
    own = f'"-m gan_caption."*) exec {asked} {WITHIN} "$@"'
    ranked = f'"-u -m") shift; exec {asked} {WITHIN} "$@"'  # as torchrun starts its processes
    scripts[WITHIN] = f'case "$1 $2" in {own};; {ranked};; *) exec {shlex.quote(sys.executable)} "$@"; esac'
    scripts |= dict.fromkeys(("srun", "sbatch"), f"echo {NO_SLURM} >&2; exit 1")
    for name, line in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)


def socket_of(home: Path) -> Path:
    """Where commands are asked for."""
    return home / "commands"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("documents")
    with forks(home):
        yield make_place(home)


@contextmanager
def forks(home: Path) -> Iterator[None]:
    """Have commands run as long as this goes on."""
    make_programs(home / "programs")
    command = [sys.executable, "-m", "tests.forks", str(socket_of(home))]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(home, {"PYTHONPATH": str(ROOT)}), text=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            process.terminate()


def make_place(home: Path) -> Path:
    """Return a folder like a checkout, with two finished runs, to be copied for each document."""
    make_flickr8k(home / "home" / "flickr8k")
    make_coco(home / "home" / "coco")
    (home / "home" / "self-critical.pytorch").mkdir()
    checkout = home / "checkout"
    checkout.mkdir()
    for name in ("gan_caption", "conf", "tests", "pyproject.toml"):
        (checkout / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "experiments", checkout / "experiments", ignore=shutil.ignore_patterns("outputs"))
    for row, name in enumerate(("photo.jpg", *(f"holiday/{name}.jpg" for name in ("sea", "hills", "boat", "dog")))):
        photograph(checkout / name, row)
    make_captions(checkout)
    tiny_lm.write_model(checkout / TINY_LM, "gpt2", positions=256)
    for name, code in own_files().items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(code)
    for page in ("mle", "seqgan"):
        told = run(f"python -m gan_caption.train +experiment={page} tracker=wandb", checkout)
        assert not told.complaint, told.complaint
    return checkout


def environment(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    """What a shell of the folder's user has."""
    home = next(parent for parent in (folder, *folder.parents) if (parent / "programs").is_dir())
    path = [home / "programs", Path(sys.executable).parent, *os.environ["PATH"].split(os.pathsep)]
    return {
        "PATH": os.pathsep.join(map(str, path)), "HOME": str(home / "home"), "PYTHONPATH": str(folder),
        "NETRC": str(home / "netrc"), "OMP_NUM_THREADS": "1",
        "WANDB_X_SAVE_REQUIREMENTS": "false",  # for which W&B reads about every installed package, at each phase
        **more,
    }  # fmt: skip


# --- The commands ---


def run(typed: str, folder: Path, *, before: str = "", **more: str) -> Told:
    """Run a command to its end; `before` are the shell's variables."""
    command = ["bash", "-c", f"{before}{typed}"]
    with subprocess.Popen(
        command, cwd=folder, env=environment(folder, more), start_new_session=True, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return Told(typed, "ran", f"no end after {LONGEST} s\n{output[-3000:]}")
    if "+cluster=slurm" in typed:  # as far as one comes without Slurm
        return Told(typed, "started", "" if NO_SLURM in output else output[-3000:])
    return Told(typed, kind_of(typed), f"status {process.returncode}\n{output[-3000:]}" if process.returncode else "")


def serve(typed: str, folder: Path, *, before: str, **more: str) -> Told:
    """Start a command that serves a page, open the page, and end the command as its user would."""
    process = subprocess.Popen(
        ["bash", "-c", f"{before}{typed}"], cwd=folder, env=environment(folder, more), start_new_session=True,
        text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    watch = threading.Timer(LONGEST, lambda: os.killpg(process.pid, signal.SIGKILL))
    watch.start()
    output = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            output += line
            if found := re.search(r"http://[\w.-]+:\d+/?", line):
                with urllib.request.urlopen(found[0], timeout=60) as page:
                    complaint = "" if page.status == 200 else f"{found[0]} answers {page.status}"
                break
        else:
            complaint = f"no address was told\n{output[-3000:]}"
    except OSError as error:
        complaint = f"{error}\n{output[-3000:]}"
    finally:
        watch.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
    return Told(typed, "served", complaint)


def kind_of(typed: str) -> str:
    """Say how far a command is run."""
    if is_only_started(typed.split("&& ")[-1].split()[1:]) or "pytest" in typed or "mypy" in typed:
        return "started"
    if "quick" in typed.split():
        return "quick"
    return "checked" if re.fullmatch(r"pip install \S+|pip install -e \S+", typed) else "whole"


def obey(document: Path, place: Path, known: dict[str, Future[Told]]) -> list[Told]:
    """Do all that a document says, in a copy of the place; of a study that several name, what is known is told."""
    folder = place.parent / "at" / document.relative_to(ROOT).with_suffix("")
    shutil.copytree(place, folder, symlinks=True)
    text = document.read_text(encoding="utf-8")
    told: list[Told] = []
    variables = ""
    with WandbServer() as server:
        for typed in commands(text):
            if ASSIGNMENT.match(typed):
                variables += f"{typed}\n"
            elif typed in NOT_RUN:
                told.append(Told(typed, "not run"))
            elif typed.startswith("python -m experiments.") and "$" not in typed:  # which needs nothing of before
                asked: Future[Told] = Future()
                first = known.setdefault(typed, asked)
                if first is asked:
                    try:
                        asked.set_result(timed(run, typed, folder))
                    except BaseException as error:
                        asked.set_exception(error)
                told.append(first.result() if first is asked else replace(first.result(), seconds=0.0))
            else:
                own = serve if any(one in typed for one in SERVES) else run
                more = server.environment if typed.startswith("wandb ") else {}
                told.append(timed(own, typed, folder, before=variables, **more))
    for code in scripts(text):
        told.append(timed(run, f"python -c {shlex.quote(code)}", folder))
    return told


def timed(do: Callable[..., Told], typed: str, folder: Path, **more: str) -> Told:
    """Do a command, and say how long it took."""
    start = time.perf_counter()
    return replace(do(typed, folder, **more), seconds=time.perf_counter() - start)


@pytest.fixture(scope="module")
def told(place) -> dict[Path, list[Told]]:
    """What became of each document's commands; two documents at a time."""
    known: dict[str, Future[Told]] = {}
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(documents(), pool.map(lambda document: obey(document, place, known), documents()), strict=True))


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_runs_as_pasted(told, document, record_property):
    for one in told[document]:
        record_property(one.command, round(one.seconds, 1))
    wrong = [f"$ {one.command}\n{one.complaint}" for one in told[document] if one.complaint]
    assert not wrong, "\n\n".join(wrong)


def test_no_command_was_overlooked(told, capsys):
    """Counts and the longest are printed; every module that a document starts by `python -m` is among the commands."""
    counts = Counter(one.kind for own in told.values() for one in own)
    with capsys.disabled():
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        print(f"\ncommands of {len(told)} documents: {sum(counts.values())} ({kinds}); those of more than 10 s:")
        for one in sorted((one for own in told.values() for one in own), key=lambda one: -one.seconds):
            if one.seconds > 10:
                print(f"{one.seconds:6.0f} s  {one.command}")
    for document, own in told.items():
        named = set(re.findall(r"python -m ([\w.]+)", document.read_text(encoding="utf-8")))
        typed = " ".join(one.command for one in own)
        assert all(name in typed for name in named), f"{document}: {named}"
    typed = " ".join(one.command for own in told.values() for one in own)
    assert {name for name in STARTED if f"-m {name}" not in typed} == set(), "these studies are in no document"
