"""The way in from the command line: Hydra composes the configuration, an entry point's task runs, and ends cleanly."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_caption.configuration.command_line import asks_for_a_search, page_of, places_of_pages, read_command_line
from gan_caption.configuration.jobs import Job, notes
from gan_caption.configuration.meant import unknown_keys
from gan_caption.configuration.running import Runs, in_words, no_reader, rank, refuse_environment
from gan_caption.errors import Interrupted, UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def conf_dir() -> Path:
    """Return the folder of the YAML files: inside the installed package, or beside it in a checkout.

    Raises:
        UserError: there is none; the installation is damaged.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if folder.is_dir():
            return folder
    raise UserError(f"no conf/ in {package} nor beside it: install the package again (pip install .)")


def launch(
    task: Callable[[DictConfig], object],
    *,
    config_name: str = "config",
    folder: Path | None = None,
    after_sweep: Callable[[Path, Sequence[Job]], None] | None = None,
    several: bool = False,
) -> None:
    """Run an entry point: compose its configuration from the command line with Hydra, call it, and end cleanly.

    A UserError, a missing value and a broken interpolation end as one line on stderr and exit status 2; Ctrl-C ends
    with status 130, and a training that is told to stop by SIGINT or SIGTERM saves its step and ends with 128 and the
    signal's number, as schedulers expect; a bug keeps its traceback, status 1. In a sweep (`-m`) the other runs go on,
    and the failed ones are listed at the end; a sweeper that searches is given None for them; several processes end
    with the first. Overrides that fit no key are reported by Hydra, with status 1.

    Args:
        task: the entry point; called once a run. A sweeper that searches takes what it returns.
        config_name: the primary YAML file, without its ending.
        folder: where it lies; None stands for `conf_dir()`.
        after_sweep: called with the folder of a sweep and its runs, when all have ended; not where the sweep broke off.
        several: whether the entry point can be worked on by several processes, which torchrun has started.
    """
    arguments = sys.argv[1:]
    with notes() as noted:
        runs = Runs(task, noted)
        with _ended_cleanly(runs):
            status = _run_all(runs, arguments, (folder or conf_dir()) / f"{config_name}.yaml", several=several)
        jobs = [*runs.alone, *noted.read()]
    try:
        if after_sweep is not None and jobs and jobs[0].sweep and not rank():
            if status:
                print(
                    "the sweep broke off, and no table is written: with resume=auto the same command goes on with it",
                    file=sys.stderr,
                )
            else:
                with _ended_cleanly(runs):
                    after_sweep(Path(jobs[0].sweep), jobs)
    finally:  # a full disk, say, loses no failure
        status = _tell_of_failures(jobs) or status
    if status:
        sys.exit(status)


def _run_all(runs: Runs, arguments: Sequence[str], entry: Path, *, several: bool) -> Any:
    """Have Hydra compose configurations and run the task with each; return its exit status, None where all is well."""
    from hydra import version
    from hydra._internal.utils import _run_hydra

    from gan_caption.untrusted.pages import check_all_pages, check_pages

    parser, asked = read_command_line(arguments, entry=entry)
    runs.page, runs.pages = page_of(entry), conf_dir()
    runs.said = [one.lstrip("+").partition("=")[0] for one in asked.overrides]
    check_pages(entry=entry, own=conf_dir())  # no page may run code ...
    if asks_for_a_search(asked):  # ... nor one that is read first in a process of its own ...
        for place in places_of_pages(asked):
            check_all_pages(place, own=conf_dir())
    refuse_environment()  # ... or read secrets

    @functools.wraps(runs.task)  # Hydra names the job after the module of what is wrapped
    def one_run(config: DictConfig) -> object:
        return runs.one(config)

    version.setbase("1.3")
    try:
        with _together(several):
            # What `hydra.main` calls as well, after it has parsed the command line in its own way.
            _run_hydra(
                args=asked, args_parser=parser, task_function=one_run, config_path=str(entry.parent),
                config_name=entry.stem,
            )  # fmt: skip
    except SystemExit as end:  # Hydra's, which has said why
        if end.code and not runs.started:
            if isinstance(end.__context__, RecursionError):  # of which Hydra has printed a thousand frames
                told = " ".join(one for one in asked.overrides if one.startswith("+")) or entry.name
                raise UserError(f"a page lists itself among its defaults, or one that lists it: see {told}") from None
            _tell_of_plugins(arguments)
            for line in unknown_keys(asked, entry):
                print(f"error: {line}", file=sys.stderr)
        return end.code
    return None


@contextmanager
def _ended_cleanly(runs: Runs) -> Iterator[None]:
    """End the program with one line and the status that its exception stands for."""
    try:
        yield
    except UserError as error:
        print(f"{rank()}error: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stopped:
        how = "the same command with resume=auto goes on from there"
        print(f"{rank()}interrupted by {stopped.signal.name}: {stopped}; {how}", file=sys.stderr)
        sys.exit(128 + stopped.signal)
    except BrokenPipeError as error:
        raise no_reader() from error
    except KeyboardInterrupt:
        print(f"interrupted{': ' + runs.started[-1] if runs.started else ''}", file=sys.stderr)
        sys.exit(130)


def _tell_of_failures(jobs: Sequence[Job]) -> int:
    """List the runs of a sweep that failed, and return the exit status; 0 where none failed."""
    failed = [job for job in jobs if job.failure is not None]
    if failed and len(jobs) > 1:
        told = [f"{in_words(job.overrides)}: {job.failure}" for job in failed]
        print("\n  ".join([f"error: {len(failed)} of {len(jobs)} runs failed:", *told]), file=sys.stderr)
    return (1 if any(job.bug for job in failed) else 2) if failed else 0


def _tell_of_plugins(arguments: Sequence[str]) -> None:
    """Say what brings sweepers and launchers, where some are asked for and not installed: Hydra knows no extras."""
    from gan_caption.extras import require

    chosen = ("sweep=", "cluster=", "hydra/launcher=", "hydra/sweeper=")
    asked = " ".join(one for one in arguments if one.lstrip("+").startswith(chosen))
    for words, package, extra, what in (
        (("sweep=search", "sweeper=optuna"), "optuna", "sweep", "searches"),
        (("joblib",), "hydra_plugins.hydra_joblib_launcher", "sweep", "sweeps with joblib"),
        (("cluster=ray", "launcher=ray"), "hydra_plugins.hydra_ray_launcher", "ray", "sweeps on Ray"),
        (("slurm", "submitit"), "hydra_plugins.hydra_submitit_launcher", "slurm", "sweeps on Slurm"),
    ):
        if any(word in asked for word in words):
            try:
                require(package, extra=extra, what=what)
            except UserError as error:
                print(f"error: {error}", file=sys.stderr)


def _together(several: bool) -> AbstractContextManager[None]:
    """Join the processes that torchrun has started, where it has."""
    if not {"RANK", "WORLD_SIZE"} <= os.environ.keys():
        return nullcontext()
    if not several and os.environ["WORLD_SIZE"] != "1":
        raise UserError("this command runs in one process: start it with python -m, without torchrun")
    from gan_caption.distributed.processes import joined  # which imports torch, and that takes seconds

    return joined()
