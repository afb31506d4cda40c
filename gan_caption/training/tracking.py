"""Where numbers and sample captions go while training: the contract, and Weights & Biases.

The local files, which every run has, are those of `records`. Only the main process tracks; the caller sees to that.
Every record carries its own `step`, the number of updates since the run began, counted through all phases, so that a
resumed run can drop what it is about to do again.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL import Image

LONGEST_SIDE = 256
"""Sample images are kept no larger than this, in pixels."""


@dataclass(frozen=True)
class Sample:
    """What the models say of one image."""

    image_id: str
    captions: Mapping[str, str]
    """The name of a model or a decoder -> its caption."""
    references: Sequence[str] = ()
    image: Image.Image | None = None


class Tracker(Protocol):
    """Takes notes of a run."""

    def log(self, values: Mapping[str, float], *, step: int, phase: str | None = None) -> None:
        """Note some values, by their documented names.

        Args:
            values: numbers, or tensors of one element.
            step: updates since the run began.
            phase: the phase, where it is not the job type that the tracker was made for.
        """
        ...

    def samples(self, rows: Sequence[Sample], *, step: int, phase: str | None = None) -> None:
        """Note sample captions."""
        ...

    def finish(self, status: str) -> None:
        """End the notes; "finished", or why the run ended ("failed", "interrupted"). A second call does nothing."""
        ...


@contextmanager
def finishing(tracker: Tracker) -> Iterator[Tracker]:
    """Finish the tracker however the block ends, so that the runs of a sweep stay apart."""
    try:
        yield tracker
    except KeyboardInterrupt:
        tracker.finish("interrupted")
        raise
    except BaseException:
        tracker.finish("failed")
        raise
    tracker.finish("finished")


class Trackers:
    """Several trackers as one; with none, nothing is noted."""

    def __init__(self, *, trackers: Sequence[Tracker]) -> None:
        """Keep the trackers; each is told everything, in this order."""
        self.trackers = tuple(trackers)

    def log(self, values: Mapping[str, float], *, step: int, phase: str | None = None) -> None:
        """See `Tracker.log`."""
        for tracker in self.trackers:
            tracker.log(values, step=step, phase=phase)

    def samples(self, rows: Sequence[Sample], *, step: int, phase: str | None = None) -> None:
        """See `Tracker.samples`."""
        for tracker in self.trackers:
            tracker.samples(rows, step=step, phase=phase)

    def finish(self, status: str) -> None:
        """Finish all of them, even where one fails."""
        with ExitStack() as stack:
            for tracker in reversed(self.trackers):
                stack.callback(tracker.finish, status)


class WandbTracker:
    """Weights & Biases: online where somebody is logged in, else offline, as W&B's own WANDB_MODE has it if it is set.

    Nothing that W&B does stops the training. Where nobody answers at the start, the run is kept offline; a connection
    lost later is waited for only at the end, and not for long; after any other failure W&B is left alone. Each of them
    is one warning, and `wandb sync` uploads what was not sent.
    """

    def __init__(
        self,
        *,
        folder: Path,
        group: str,
        name: str,
        job_type: str,
        configuration: Mapping[str, Any],
        run_id: str | None,
        project: str,
        entity: str | None,
        start_timeout: float,
        upload_timeout: float,
    ) -> None:
        """Begin a run, or continue it.

        Args:
            folder: W&B's files go to `wandb/` in it.
            group: runs that belong together, e.g. the experiment.
            name: the run's, e.g. with its seed.
            job_type: the phase.
            configuration: what the run was started with.
            run_id: the id of the run to continue; None for a new one. It is continued only online: offline, W&B begins
                another part with the same id, and `wandb sync` joins them, each record at the step that it names.
            project: W&B's project.
            entity: W&B's user or team; None stands for the user's own.
            start_timeout: seconds to wait for W&B's answer before the run is kept offline.
            upload_timeout: seconds to wait at the end for what is not uploaded yet.
        """
        self.run_id = run_id
        self.job_type = job_type
        self._run: Any = None
        with self._never_stopping("start"):
            import wandb

            # Where the user chose nothing, and has no key either, W&B would stop and ask.
            choose = "WANDB_MODE" in os.environ or wandb.login(prompt=False, verify=False)
            folder.mkdir(parents=True, exist_ok=True)
            begin = partial(
                wandb.init,
                project=project,
                entity=entity,
                group=group,
                name=name,
                job_type=job_type,
                config=dict(configuration),
                dir=folder,
                id=run_id,
                resume="allow" if run_id else None,  # also offline: else `wandb sync` puts a part over those before it
                reinit="create_new",  # the runs of a sweep share a process, and must not become one run
                settings=wandb.Settings(
                    console="off",
                    init_timeout=start_timeout,
                    finish_timeout=upload_timeout,
                    finish_timeout_raises=True,
                ),
            )
            try:
                self._run = begin(mode=None if choose else "offline")
            except wandb.errors.CommError as error:
                wandb.teardown()  # its service still holds the run's id
                self._run = begin(mode="offline")
                _warn("could not be reached (%s); the run is kept offline: %s", error, self._sending())
            self.run_id = self._run.id
            # Our own step, because W&B's may only grow: after a resume, records of earlier steps would be thrown away.
            self._run.define_metric("step")
            self._run.define_metric("*", step_metric="step")

    def log(self, values: Mapping[str, float], *, step: int, phase: str | None = None) -> None:
        """See `Tracker.log`."""
        if self._run is not None:
            with self._never_stopping("log"):
                numbers = {name: float(value) for name, value in values.items()}
                self._run.log({**numbers, "step": step, "phase": phase or self.job_type})

    def samples(self, rows: Sequence[Sample], *, step: int, phase: str | None = None) -> None:
        """Log the rows as a table of their own, `samples`, and its images with their captions, `sample_images`.

        A table is an artifact, whose images W&B keeps outside of the run's folder until they are uploaded;
        `sample_images` lie in it.
        """
        if self._run is None or not rows:
            return
        with self._never_stopping("log samples"):
            import wandb

            names = tuple(dict.fromkeys(name for row in rows for name in row.captions))
            table = wandb.Table(columns=["step", "phase", "image_id", "image", *names, "references"])
            images = []
            for row in rows:
                small = row.image and small_image(row.image)
                captions = [row.captions.get(name) for name in names]
                table.add_data(
                    step, phase or self.job_type, row.image_id, small and wandb.Image(small), *captions,
                    "\n".join(row.references),
                )  # fmt: skip
                if small is not None:
                    said = "\n".join(f"{name}: {caption}" for name, caption in row.captions.items())
                    images.append(wandb.Image(small, caption=said))
            self._run.log({"samples": table, **({"sample_images": images} if images else {}), "step": step})

    def finish(self, status: str) -> None:
        """End the run; any status but "finished" marks it as failed."""
        if self._run is None:
            return
        sending, run, self._run = self._sending(), self._run, None
        with self._never_stopping("finish"):
            run.summary["status"] = status
            try:
                run.finish(exit_code=0 if status == "finished" else 1)
            except TimeoutError as error:
                _warn("did not take everything (%s); the rest is kept: %s", error, sending)

    def _sending(self) -> str:
        """Return the command that sends what was kept of this run."""
        return shlex.join(["wandb", "sync", str(Path(self._run.dir).parent)])

    @contextmanager
    def _never_stopping(self, verb: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._run = None
            _warn(f"could not {verb} (%s); from here on only the local files are written", error)


def _warn(message: str, error: Exception, *values: object) -> None:
    text = " ".join(str(error).split()) or type(error).__name__
    logging.getLogger(__name__).warning(f"Weights & Biases {message}", text, *values)


def small_image(image: Image.Image) -> Image.Image:
    """Return an RGB copy of an image, no larger than samples are kept."""
    small = image.convert("RGB")
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return small
