"""What `python -m gan_caption.caption` does: every photograph is captioned, or its fault told at the end."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from gan_caption.configuration.running import print_nowhere
from gan_caption.distributed import world
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.files import check_file
from gan_caption.inference.captioner import Captioned, Captioner, Unreadable, check_candidates
from gan_caption.inference.output import (
    check_ids,
    coco_results,
    encoded,
    format_of,
    json_lines,
    on_a_line,
    write_captions,
)
from gan_caption.inference.photos import find_photos
from gan_caption.inference.settings import CaptionSettings
from gan_caption.training.progress import Progress

_SHARE = 32
"""Photographs that each rank captions before the main one writes them."""


def caption_photos(settings: CaptionSettings) -> None:
    """Caption photographs as `conf/caption.yaml` says, to a file or to stdout.

    Several processes share the photographs out; captions that are sampled then have other random numbers.

    Raises:
        UserError: nothing can be captioned; or something was left out, after all else was written.
    """
    out = settings.out
    written = None if out is None else format_of(out)  # before anything is loaded
    if out is not None:
        check_file(out, f"out={out}")
    if settings.attention and written is not json_lines:
        raise UserError("attention=true: .jsonl alone tells where each word looked; give out=captions.jsonl")
    judging = next((f"rerank.{name}" for name, weight in settings.rerank.items() if weight and name != "own"), None)
    check_candidates(settings.candidates, wanted=settings.captions, judging=judging)
    proposed = judging or (f"captions={settings.captions}" if settings.captions > 1 else None)
    if not judging and settings.rerank.get("own", 1.0) != 1.0:
        raise UserError("rerank.own=...: a weight beside those of judges; give rerank.discriminator=1, say, as well")
    if not proposed and settings.candidates > 1:
        say(f"note: one caption is the run's own decoder's, and nothing chooses among candidates={settings.candidates}")
    photos = find_photos(settings.images)
    if written is coco_results:
        check_ids(map(str, photos))
    captioner = Captioner.load(
        settings.run,
        weights=settings.weights,
        decoding=None if settings.decoding is None else settings.decoding.node,
        proposer=None if settings.proposer is None else settings.proposer.node,
        candidates=settings.candidates,
        rerank=settings.rerank,
        language_model=settings.language_model,
        fusion=settings.fusion,
        device=settings.device,
        allow=settings.allow,
    )
    if settings.decoding is not None and proposed and captioner.drawn_by is None:
        raise UserError(
            f"decoding=...: by {proposed} captions are proposer=...'s; leave it out. Without proposer and judges "
            "one that weighs samples, decoding=resampling, draws several"
        )
    if settings.attention and not captioner.attends:
        raise UserError("attention=true: this captioner attends to no regions; leave it out")
    unreadable: list[Unreadable] = []

    def captioned() -> Iterator[Captioned]:
        """Caption this rank's photographs; the main one yields those of all."""
        size = _SHARE * world.size()
        parts = [world.own_of(photos[first : first + size]) for first in range(0, len(photos), size)]
        told = captioner.stream(
            chain.from_iterable(parts), count=settings.captions, attention=settings.attention,
            seed=settings.seed + (world.rank() << 32),
        )  # fmt: skip
        done = 0
        with Progress(phase="caption", total=len(photos)) as progress:
            for part in parts:
                for one in chain.from_iterable(world.to_main(list(islice(told, len(part))))):
                    done += 1
                    progress.update(done)
                    if isinstance(one, Captioned):
                        yield one
                    else:
                        unreadable.append(one)
        if len(unreadable) == len(photos):  # what stands in `out` is worth more than no caption
            raise UserError(_told(unreadable, photos))

    def write() -> None:
        images = captioned()
        try:
            if out is not None:
                write_captions(out, images)
                print(f"{len(photos) - len(unreadable)} images captioned: {out}", flush=True)
            else:
                _print(images)
        except Exception:
            _hear_out(images)
            raise
        if unreadable:
            raise UserError(_told(unreadable, photos))

    if not world.is_main():
        deque(captioned(), maxlen=0)
    world.from_main(write)


def _print(images: Iterator[Captioned]) -> None:
    """Print captions, a line each, until all are there or whoever reads them has read enough, as `| head` does.

    What a terminal's encoding does not have is escaped.
    """
    encoding = sys.stdout.encoding or "utf-8"
    for image in images:
        for one in image.captions:
            try:
                print(encoded(f"{on_a_line(image.name)}\t{on_a_line(one.text)}", encoding).decode(encoding), flush=True)
            except BrokenPipeError:
                print_nowhere()
                _hear_out(images)
                return


def _hear_out(images: Iterator[Captioned]) -> None:
    """Take what other processes still have, where there are any: they caption on, and hand it over."""
    if world.size() > 1:
        deque(images, maxlen=0)


def _told(unreadable: Sequence[Unreadable], photos: Sequence[Path]) -> str:
    """Say which images cannot be read."""
    listed = "".join(f"\n  {on_a_line(one.reason)}" for one in unreadable)
    others = "; the others were captioned" if len(unreadable) < len(photos) else ""
    return f"{len(unreadable)} of {len(photos)} images cannot be read{others}{listed}"
