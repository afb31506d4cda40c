"""The way in from the command line: Hydra composes the configuration, an entry point's task runs, and ends cleanly."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gan_caption.configuration.jobs import Job, notes
from gan_caption.configuration.renamed import advice, refuse_old_overrides
from gan_caption.errors import Interrupted, Told, UserError

if TYPE_CHECKING:
    from hydra.conf import HydraConf
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
    with the first. Mistakes in the overrides themselves are reported by Hydra, with status 1.

    Args:
        task: the entry point; called once a run. A sweeper that searches takes what it returns.
        config_name: the primary YAML file, without its ending.
        folder: where it lies; None stands for `conf_dir()`.
        after_sweep: called with the folder of a sweep and its runs, when all have ended.
        several: whether the entry point can be worked on by several processes, which torchrun has started.
    """
    import hydra
    from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

    who = f"rank {os.environ['RANK']}: " if os.environ.get("RANK", "0") != "0" else ""
    together = int(os.environ.get("WORLD_SIZE", 1)) > 1
    started: list[str] = []
    jobs: list[Job] = []
    said = [one.lstrip("+").partition("=")[0] for one in sys.argv[1:]]  # a run's overrides hold what a sweep page sets

    @functools.wraps(task)  # Hydra names the job after the module of what is wrapped
    def one_run(config: DictConfig) -> object:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        _refuse_environment()  # here as well: this may be a process of its own
        asked = HydraConfig.get()
        os.chdir(asked.runtime.cwd)  # some launchers start runs elsewhere
        sweep = asked.sweep.dir if asked.mode == RunMode.MULTIRUN else None
        overrides = given_overrides(asked)
        started.append(_told(overrides))

        def note(**outcome: Any) -> None:
            job = Job(overrides, sweep, **outcome)
            if sweep is None:
                jobs.append(job)
            else:
                noted.write(job, asked.job.num)

        try:
            # A page that came from elsewhere must not be able to run code that its user did not name.
            if config.get("allow") and "allow" not in said:
                raise UserError(f"allow={config.allow} stands in a page: packages are allowed on the command line only")
            result = task(config)
            note(result=result)
            return result
        except Told as error:
            raise SystemExit(2) from error
        except UserError as error:
            message = str(error)
        except MissingMandatoryValue as error:
            message = f"{error.full_key} has no value: give one, {error.full_key}=..."
        except InterpolationResolutionError as error:
            message = advice(f"{error.full_key}: {str(error).splitlines()[0]}")
        except Exception:
            if sweep is None:
                raise
            import traceback

            traceback.print_exc()
            note(failure="a bug, see its traceback above", bug=True)
            if together:
                raise SystemExit(1) from None
            return None
        where = f" (in the run {_told(overrides)})" if sweep else ""
        print(f"{who}error: {message}{where}", file=sys.stderr, flush=True)
        note(failure=message)
        if together:  # the other processes wait, and must be told at once
            raise SystemExit(2)
        return None

    status: Any = 0
    with notes() as noted:
        try:
            refuse_old_overrides(sys.argv[1:])
            where = folder or conf_dir()
            _guard(where / f"{config_name}.yaml")
            with _together(several):
                hydra.main(version_base="1.3", config_path=str(where), config_name=config_name)(one_run)()
        except UserError as error:
            print(f"{who}error: {error}", file=sys.stderr)
            sys.exit(2)
        except Interrupted as stopped:
            how = "the same command with resume=auto goes on from there"
            print(f"{who}interrupted by {stopped.signal.name}: {stopped}; {how}", file=sys.stderr)
            sys.exit(128 + stopped.signal)
        except KeyboardInterrupt:
            print(f"interrupted{': ' + started[-1] if started else ''}", file=sys.stderr)
            sys.exit(130)
        except SystemExit as end:  # Hydra's, which has said why
            status = end.code
            if status and not started:
                _tell_of_plugins(sys.argv[1:])
        jobs += noted.read()
    failed = [job for job in jobs if job.failure is not None]
    if after_sweep is not None and jobs and jobs[0].sweep and not who:
        after_sweep(Path(jobs[0].sweep), jobs)
    if failed and len(jobs) > 1:
        told = [f"{_told(job.overrides)}: {job.failure}" for job in failed]
        print("\n  ".join([f"error: {len(failed)} of {len(jobs)} runs failed:", *told]), file=sys.stderr)
    if failed:
        status = 1 if any(job.bug for job in failed) else 2
    if status:
        sys.exit(status)


def given_overrides(asked: HydraConf) -> list[str]:
    """Return the overrides of a run as they were given; what they refer to, `${seed}`, stays as it is."""
    from omegaconf import OmegaConf

    return cast("list[str]", OmegaConf.to_container(cast(Any, asked.overrides.task), resolve=False))


def _tell_of_plugins(arguments: Sequence[str]) -> None:
    """Say what brings sweepers and launchers, where some are asked for and not installed: Hydra knows no extras."""
    from gan_caption.extras import require

    asked = " ".join(arguments)
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


def _told(overrides: Sequence[str]) -> str:
    return " ".join(overrides) or "(no overrides)"


def _together(several: bool) -> AbstractContextManager[None]:
    """Join the processes that torchrun has started, where it has."""
    if not {"RANK", "WORLD_SIZE"} <= os.environ.keys():
        return nullcontext()
    if not several and os.environ["WORLD_SIZE"] != "1":
        raise UserError("this command runs in one process: start it with python -m, without torchrun")
    from gan_caption.distributed.processes import joined  # which imports torch, and that takes seconds

    return joined()


def _guard(entry: Path) -> None:
    """See to it that no page runs code or reads secrets while Hydra composes the configuration.

    Raises:
        UserError: the command line brings a configuration that is a program.
    """
    from hydra._internal.utils import get_args_parser

    from gan_caption.untrusted.pages import check_pages

    if get_args_parser().parse_known_args()[0].experimental_rerun:
        raise UserError("--experimental-rerun reads a pickle, which could run code: repeat the command instead")
    check_pages(entry=entry, own=conf_dir())

    _refuse_environment()


def _refuse_environment() -> None:
    """Let no configuration read environment variables."""
    from omegaconf import OmegaConf

    def refuse(*_: object) -> None:
        raise ValueError("a configuration is saved and tracked: it reads no environment variables, which hold secrets")

    OmegaConf.register_new_resolver("oc.env", refuse, replace=True)
