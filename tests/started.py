"""Commands of the package in processes of their own, forks of one that has imported PyTorch: none waits seconds for it.

They are started, watched, sent signals and waited for as `subprocess.Popen` has it.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([  # once for all of these tests
    "torch._dynamo", "gan_caption.experiment", "gan_caption.configuration.fitting", "gan_caption.untrusted.pages",
    "hydra.compose", "tests.frozen",
])  # fmt: skip
STREAMS = ("said", "errors")


class Started:
    """`python -m MODULE WORDS...`; its folder and its environment are those that this process has now, or others."""

    def __init__(
        self, module: str, *words: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._said = Path(tempfile.mkdtemp())
        for name in STREAMS:
            (self._said / name).touch()
        self._process = FORKS.Process(
            target=_run, daemon=False,
            args=(
                module, words, str(folder or os.getcwd()), dict(os.environ if environment is None else environment),
                str(self._said),
            ),
        )  # fmt: skip
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None as long as it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, which: signal.Signals) -> None:
        if self._process.exitcode is None and self._process.pid:
            os.kill(self._process.pid, which)

    def communicate(self, within: float | None = None) -> tuple[str, str]:
        """Wait for its end, so many seconds at most, and return what it said and its errors."""
        self._process.join(within)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        said, errors = ((self._said / name).read_text(encoding="utf-8") for name in STREAMS)
        shutil.rmtree(self._said)
        return said, errors


def ended(
    module: str, *words: str, folder: Path | None = None, environment: Mapping[str, str] | None = None,
    within: float | None = None,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Do what `subprocess.run` does of `python -m MODULE WORDS...`; one that takes longer is killed."""
    process = Started(module, *words, folder=folder, environment=environment)
    said, errors = process.communicate(within)
    assert process.returncode is not None
    return subprocess.CompletedProcess([module, *words], process.returncode, said, errors)


def typed(module: str, *words: str) -> subprocess.Popen[str]:
    """Start the same in an interpreter of its own: joblib and Ray end their processes when theirs ends."""
    command = [sys.executable, "-m", module, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _run(module: str, words: tuple[str, ...], folder: str, environment: dict[str, str], said: str) -> None:
    for descriptor, name in enumerate(STREAMS, start=1):
        os.dup2(os.open(os.path.join(said, name), os.O_WRONLY), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, folder)  # where `python -m` looks first
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
