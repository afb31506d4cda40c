"""TensorBoard: the records of a run by the same names, one of TensorBoard's runs a phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gan_caption.extras import require
from gan_caption.training.tracking import Sample, small_image

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

require("tensorboard", extra="tensorboard", what="records of tracker=tensorboard")  # when the configuration is checked


class TensorboardTracker:
    """Event files in `tensorboard/<phase>` of the run's folder, besides the local files."""

    def __init__(self, *, folder: Path, job_type: str) -> None:
        """Begin, or continue what lies in the folder.

        Args:
            folder: the run's.
            job_type: the phase, unless a record names another.
        """
        self.folder = folder / "tensorboard"
        self.job_type = job_type
        self._writers: dict[str, SummaryWriter] = {}

    def log(self, values: Mapping[str, float], *, step: int, phase: str | None = None) -> None:
        """See `Tracker.log`."""
        writer = self._writer(step, phase)
        for name, value in values.items():
            writer.add_scalar(name, float(value), global_step=step)
        writer.flush()  # as a checkpoint may follow, after which these steps are not made again

    def samples(self, rows: Sequence[Sample], *, step: int, phase: str | None = None) -> None:
        """Note each image, and a table of its captions, as `samples/<image_id>`."""
        writer = self._writer(step, phase)
        for row in rows:
            writer.add_text(f"samples/{row.image_id}", _table(row), global_step=step)
            if row.image is not None:
                pixels = np.asarray(small_image(row.image))
                writer.add_image(f"samples/{row.image_id}", pixels, global_step=step, dataformats="HWC")
        writer.flush()

    def finish(self, status: str) -> None:
        """Write what is left and close the files."""
        del status
        while self._writers:
            self._writers.popitem()[1].close()

    def _writer(self, step: int, phase: str | None) -> SummaryWriter:
        """Return the phase's files.

        A run that was taken up makes the steps after its checkpoint again, so whatever an earlier file has from the
        first new step on is void: TensorBoard is told so, and leaves it out.
        """
        from torch.utils.tensorboard import SummaryWriter

        name = phase or self.job_type
        if name not in self._writers:
            self._writers[name] = SummaryWriter(str(self.folder / name), purge_step=step)
        return self._writers[name]


def _table(row: Sample) -> str:
    """Return what was said of an image as a Markdown table."""
    said = [*row.captions.items(), *(("reference", text) for text in row.references)]
    lines = [f"| {name} | {caption.replace('|', chr(92) + '|')} |" for name, caption in said]
    return "\n".join(["| | caption |", "| --- | --- |", *lines])
