"""The runs of one command: each is an entry point's task with one configuration, and however it ends is noted."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from gan_caption.configuration.building import allowed_by
from gan_caption.configuration.choices import check_choices, check_places, leave_out
from gan_caption.configuration.command_line import groups_of, page_of
from gan_caption.configuration.jobs import Job, Notes
from gan_caption.configuration.overrides import command, setting
from gan_caption.configuration.renamed import advice
from gan_caption.configuration.unread import refuse_unknown, unread
from gan_caption.errors import Told, UserError
from gan_caption.untrusted.references import at, check_references

if TYPE_CHECKING:
    from hydra.conf import HydraConf
    from omegaconf import DictConfig


ONLY_SAID = ("allow", "cache", "data.cache", "host", "out", "outputs", "port", "shards.folder")
"""Settings that no page may change: what code runs, where is written, who may look."""
_ACCOUNT = ("project", "entity")
"""Settings of trackers, whichever part of them has these: whose account is told of a run."""


@dataclass
class Runs:
    """The runs of one command."""

    task: Callable[[DictConfig], object]
    """The entry point's."""
    notes: Notes
    """For the runs of a sweep."""
    said: Sequence[str] = ()
    """Keys that the command line itself sets; a run's overrides hold what a sweep page sets as well."""
    started: list[str] = field(default_factory=list)
    """In words, in this process."""
    page: Mapping[str, Any] = field(default_factory=dict)
    """The entry point's own, as it is written."""
    pages: Path = Path()
    """This package's folder of pages."""
    alone: list[Job] = field(default_factory=list)
    """The run of a command that is no sweep, once it has ended."""

    def one(self, config: DictConfig) -> object:
        """Run the task once, and return what it returns; None where it failed.

        Raises:
            SystemExit: it failed, and other processes wait for this one.
        """
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        from gan_caption.configuration.settings import REFERRED_TO

        refuse_environment()  # here as well: this may be a process of its own
        leave_at_once()
        asked = HydraConfig.get()
        os.chdir(asked.runtime.cwd)  # some launchers start runs elsewhere
        self.started.append(in_words(given_overrides(asked)))
        try:
            written = OmegaConf.to_container(config, resolve=False)
            check_references(written)
            self._check_said(written, asked.runtime.choices)
            refuse_unknown(written, self.page, REFERRED_TO)
            folders = [Path(one.path) for one in asked.runtime.config_sources if one.schema == "file"]
            check_places(given_overrides(asked), folders, chosen=list(asked.runtime.choices), known=self._known())
            check_choices(config, given_overrides(asked), folders)
            if left_out := leave_out(config, given_overrides(asked), folders, allowed_by(config.get("allow"))):
                print(f"{rank()}note: a page says this of another part: left out are {', '.join(left_out)}", flush=True)
            for one in unread(written, given_overrides(asked), REFERRED_TO):
                print(f"{rank()}note: {one} changes nothing here: no part of this run refers to it", flush=True)
            result = self.task(config)
        except Told as error:
            raise SystemExit(2) from error
        except BrokenPipeError as error:  # Hydra would take it for a bug
            raise no_reader() from error
        except Exception as error:
            if message_of(error) is None and sweep_of(asked) is None:
                raise
            self._tell(error, asked)
            return None
        self._note(asked, result=result)
        return result

    def _check_said(self, written: Any, choices: Mapping[str, Any]) -> None:
        """Refuse a page that came from elsewhere, and says what is the user's alone to say.

        It would run code that nobody named, write elsewhere, or show runs to others.
        """
        for key in ONLY_SAID:
            path = tuple(key.split("."))
            told, group = at(written, path), self.pages / path[0]
            if told in (at(self.page, path), [], None) or key in self.said:
                continue
            if group.is_dir():  # a part's: by choosing its page nobody has said this
                usual = [at(page_of(page), own) for page in group.glob("*.yaml") for own in (path, path[1:])]
            else:
                usual = [told] if path[0] in self.said else []
            if told not in usual:
                raise UserError(f"{key}={told} stands in a page: it is said on the command line only")
        self._check_account(written, choices)

    def _check_account(self, written: Any, choices: Mapping[str, Any]) -> None:
        """Refuse a page that says to whose account a run is told, but for a tracker's own page that the user chose."""
        pages = self.pages / "tracker"
        if "tracker" in self.said and not (pages / f"{choices.get('tracker')}.yaml").is_file():
            return
        usual = [told for page in pages.glob("*.yaml") for told in _below(page_of(page), _ACCOUNT)]
        usual += [(key.rpartition(".")[2], at(written, tuple(key.split(".")))) for key in self.said]
        for key, value in _below(at(written, ("tracker",)), _ACCOUNT):
            if value is not None and (key, value) not in usual:
                raise UserError(f"tracker.{key}={value} stands in a page: it is said on the command line only")

    def _known(self) -> set[str]:
        """Return the keys and groups that may stand at the top of the configuration, but for whole pages."""
        from gan_caption.configuration.settings import SHARED

        return {*self.page, *SHARED, *groups_of(self.page)}

    def _tell(self, error: Exception, asked: HydraConf) -> None:
        """Print and note why a run failed; the others of a sweep go on."""
        together = int(os.environ.get("WORLD_SIZE", 1)) > 1  # the other processes wait, and must be told at once
        message = message_of(error)
        if message is None:
            traceback.print_exc()
            self._note(asked, failure="a bug, see its traceback above", bug=True)
        else:
            where = f" (in the run {in_words(given_overrides(asked))})" if sweep_of(asked) else ""
            print(f"{rank()}error: {message}{where}", file=sys.stderr, flush=True)
            self._note(asked, failure=message)
        if together:
            raise SystemExit(1 if message is None else 2)

    def _note(self, asked: HydraConf, **outcome: Any) -> None:
        job = Job(given_overrides(asked), sweep_of(asked), **outcome)
        if job.sweep is None:
            self.alone.append(job)
        else:
            self.notes.write(job, asked.job.num)


def _below(node: Any, keys: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield these keys with their values, wherever they stand in a node of configuration."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if key in keys:
            yield str(key), value
        yield from _below(value, keys)


def given_overrides(asked: HydraConf) -> list[str]:
    """Return the overrides of a run as they were given; what they refer to, `${seed}`, stays as it is."""
    from omegaconf import OmegaConf

    return cast("list[str]", OmegaConf.to_container(cast(Any, asked.overrides.task), resolve=False))


def command_of(entry_point: str, asked: HydraConf, *more: str) -> str:
    """Return the command that repeats a run, to be pasted into a shell.

    Args:
        entry_point: its module's name in this package.
        asked: what Hydra knows of the run.
        more: overrides besides.
    """
    sources = asked.runtime.config_sources
    options = [word for one in sources if one.provider == "command-line" for word in ("--config-dir", one.path)]
    searched = [f"{one.schema}://{one.path}" for one in sources if one.provider == "hydra.searchpath in command-line"]
    own = [setting("hydra.searchpath", searched)] if searched else []
    return command(entry_point, [*options, *own, *given_overrides(asked), *more])


def sweep_of(asked: HydraConf) -> str | None:
    """Return the folder of the sweep that a run belongs to; None where it belongs to none."""
    from hydra.types import RunMode

    return asked.sweep.dir if asked.mode == RunMode.MULTIRUN else None


def message_of(error: Exception) -> str | None:
    """Return what is told of an error that is its user's to mend; None of a bug."""
    from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} has no value: give one, {error.full_key}=..."
    if isinstance(error, InterpolationResolutionError):
        return advice(f"{error.full_key}: {str(error).splitlines()[0]}")
    return None


def in_words(overrides: Sequence[str]) -> str:
    """Return what tells runs apart."""
    return " ".join(overrides) or "(no overrides)"


def no_reader() -> SystemExit:
    """Return how a program ends whose output nobody reads any more, `head` having gone: as SIGPIPE ends others."""
    print_nowhere()
    return SystemExit(141)


def print_nowhere() -> None:
    """Let what is printed from now on, and what Python flushes when it ends, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def rank() -> str:
    """Return what this process puts before its errors: which of several it is; nothing of the first."""
    alone = "WORLD_SIZE" not in os.environ  # whatever else sets RANK
    return "" if alone or os.environ.get("RANK", "0") == "0" else f"rank {os.environ['RANK']}: "


def leave_at_once() -> None:
    """Let a launcher's job that is preempted (SIGUSR2) end where it is, as a killed one does.

    submitit's handler queues the job again and raises SystemExit, whatever is under way; clean-up that it breaks off,
    in any library, raises other errors, by which a job that goes on would be told as failed.
    """
    preempted = getattr(signal, "SIGUSR2", None)
    if preempted is None or threading.current_thread() is not threading.main_thread():  # Windows has none
        return
    handler = signal.getsignal(preempted)
    if not callable(handler):
        return

    def handled(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except SystemExit as end:  # submitit's processes write unbuffered
            os._exit(end.code if isinstance(end.code, int) else 1)

    signal.signal(preempted, handled)


def refuse_environment() -> None:
    """Let no configuration read environment variables."""
    from omegaconf import OmegaConf

    def refuse(*_: object) -> None:
        raise ValueError("a configuration is saved and tracked: it reads no environment variables, which hold secrets")

    OmegaConf.register_new_resolver("oc.env", refuse, replace=True)
