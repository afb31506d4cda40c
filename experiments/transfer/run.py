"""Do methods lose less than maximum likelihood away from home? See README.md."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments.ratio import DEMONSTRATED
from experiments.records import NOWHERE, Records, Wanted, options
from experiments.study import train_all
from experiments.transfer.measure import PLACES, TRUE_CLAIMS, found
from experiments.transfer.topics import write_topics
from experiments.transfer.verdict import CONTROLS, METHODS, MLE, Endpoint, table_beside, table_of_losses, words_unknown

HERE = Path(__file__).parent
SEEDS = tuple(range(5))
PAGES = (*CONTROLS, *METHODS)
QUICK_PAGES = ("control_more_mle", "nsc")
NATIVE = "maximum likelihood at home there"
TRUE = Endpoint(TRUE_CLAIMS, "Claims a caption, 0 if one of them is false", factor=1, decimals=2)
CIDER_D = Endpoint("cider_d", "CIDEr-D x 100")
SHARED = ("tracker=local", "holdout.check=0.05")
UPDATES = (
    "adversarial.steps=300", "adversarial.learning_rate=1e-4", "adversarial.quality_floor=0",
    "adversarial.entropy_floor=0", "adversarial.validate_every=150",
)  # fmt: skip
OWN = {"ddo": ("adversarial.steps=150",), "gold": DEMONSTRATED, "control_more_mle": DEMONSTRATED}
"""Of pages beside that, so that updates are as many for all: DDO has two rounds. README: how many captions."""
QUICK = (
    "size.hidden=16", "size.embedding=16", "phases.mle.epochs=1", "phases.mle.images_per_batch=8",
    "phases.mle.learning_rate_schedule.warmup_steps=2", "adversarial.steps=2", "adversarial.images_per_batch=8",
    "adversarial.validate_every=2", "vocabulary.min_count=1",
)  # fmt: skip
PHOTOGRAPHS = ("generator=attention_lstm", "encoder=efficientnet_lite0")
QUICK_TOPICS = {"test": 12, "val": 8}


@dataclass(frozen=True)
class Move:
    """From where to where."""

    name: str
    home: tuple[str, ...]
    """What a run is trained with."""
    away: tuple[str, ...]
    """The other data, and their split."""
    endpoint: Endpoint
    """What the verdict goes by."""
    native: tuple[str, ...] | None
    """What a run is trained with that is at home there; None: nobody is."""


def moves(size: str, flickr8k: Path | None, coco: Path | None, outputs: Path) -> list[Move]:
    """Return the moves whose data are there."""
    quick = size == "quick"
    small = ("data.train=100", "data.val=8", "data.test=12") if quick else ()
    tiny = ("encoder.width=8", "phases.words.steps=5", "phases.words.images_per_batch=8") if quick else ()
    there = [
        Move("scenes", ("data=scenes_unseen", *small, *tiny), ("data=scenes_unseen", "data.test_shows=unseen", *small),
             TRUE, ("data=scenes", *small, *tiny)),
    ]  # fmt: skip
    if coco is not None and flickr8k is None:
        sys.exit(f"coco={coco}: the runs that are asked about it learn from Flickr8k: give flickr8k= as well")
    if flickr8k is not None:
        topics = outputs / "topics"
        if quick:
            write_topics(flickr8k, topics, seed=0, train=40, sizes=QUICK_TOPICS)
        else:
            write_topics(flickr8k, topics, seed=0, train=None)
        people, animals = (("data=flickr8k", f"data.root={topics / topic}") for topic in ("people", "animals"))
        there.append(Move("topics", (*people, *PHOTOGRAPHS), animals, CIDER_D, (*animals, *PHOTOGRAPHS)))
        if coco is not None:
            there.append(
                Move("coco", ("data=flickr8k", f"data.root={flickr8k}", *PHOTOGRAPHS),
                     ("data=coco", f"data.root={coco}", "skip_missing=true"), CIDER_D, None)
            )  # fmt: skip
    return there


class Study:
    """The runs of one size and one move: each is trained and measured unless its record is kept."""

    def __init__(self, move: Move, *, size: str, outputs: Path, records: Path, workers: int,
                 only: Collection[int] | None = None) -> None:  # fmt: skip
        """Set where they are kept, how many run at a time, of which seeds; with 0 workers what is finished is found."""
        self.move = move
        quick = size == "quick"
        self.few: tuple[str, ...] = QUICK if quick else ()
        self.updates: tuple[str, ...] = () if quick else UPDATES
        self.seeds = SEEDS[:1] if quick else SEEDS
        self.pages: tuple[str, ...] = QUICK_PAGES if quick else PAGES
        self.outputs, self.records, self.workers = outputs, Records(records), workers
        self.only = only

    def baseline(self, seed: int, home: Sequence[str]) -> tuple[str, ...]:
        """Return the overrides of maximum likelihood at a home."""
        return ("+experiment=mle", f"seed={seed}", *home, *SHARED, *self.few)

    def method(self, page: str, seed: int, base: Path) -> tuple[str, ...]:
        """Return the overrides of a page that goes on from a baseline."""
        given = (f"+experiment={page}", f"seed={seed}", f"pretrained={base}")
        return (*given, *self.move.home, *SHARED, *self.updates, *OWN.get(page, ()), *self.few)

    def wanted(self, seed: int, base: Path = NOWHERE) -> list[Wanted]:
        """Return the runs of a seed, and what is kept of each."""
        move = self.move
        own = {MLE: self.baseline(seed, move.home)}
        own |= {page: self.method(page, seed, base) for page in self.pages}
        if move.native is not None:
            own[NATIVE] = self.baseline(seed, move.native)
        measure = partial(found, away=move.away, endpoint=move.endpoint.name)
        how = f"the endpoint {move.endpoint.name}"
        return [Wanted(f"{move.name}, {name}", seed, given, measure, how=how) for name, given in own.items()]

    def known(self) -> dict[str, dict[int, Mapping[str, Any]]]:
        """Return what is found of all runs, by name and seed; see `Records.known`."""

        def prepare(seeds: Collection[int]) -> list[tuple[Path]]:
            own = [self.baseline(seed, self.move.home) for seed in seeds]
            return [(base,) for base in train_all(own, outputs=self.outputs, workers=self.workers)]

        told = self.records.known(
            self.wanted, self.seeds, prepare, outputs=self.outputs, workers=self.workers, only=self.only
        )
        return {name.removeprefix(f"{self.move.name}, "): own for name, own in told.items()}

    def doubts(self) -> str:
        """Say what stands against comparing the runs; see `Records.doubts`."""
        every = (one for seed in self.seeds for one in self.wanted(seed))
        return self.records.doubts([one for one in every if not one.name.endswith(NATIVE)])


def account(study: Study) -> str:
    """Make what is missing, and return a move's tables and verdicts, as Markdown."""
    move, known = study.move, study.known()
    systems = {name: own for name, own in known.items() if name != NATIVE}
    if not systems:
        return f"{move.name}: no run is finished yet: full trains them"
    for place in PLACES:
        if len({run[place].get("images") for own in systems.values() for run in own.values()}) > 1:
            return (
                f"{move.name}: runs were measured on different images at {place}, by several copies of the data: give "
                f"records=FOLDER, another one than {study.records.folder}"
            )
    parts = [table_of_losses(systems, move.endpoint), table_beside(systems), words_unknown(systems), study.doubts()]
    if NATIVE in known:
        told = " ".join(move.endpoint.shown(fmean(run["away"]["scores"])) for run in known[NATIVE].values())
        parts.append(f"Maximum likelihood that is at home there reaches, a seed each: {told}.")
    return "\n\n".join(part for part in parts if part)


def main(size: str = "full", *given: str) -> None:
    told = options(given)
    named = {key: value for key, _, value in (one.partition("=") for one in told.others)}
    if size not in ("full", "quick", "tables") or named.keys() - {"flickr8k", "coco"}:
        sys.exit("full, quick or tables of what is finished; then flickr8k=<folder> coco=<folder> workers=2 seeds=0,1")
    outputs = HERE / "outputs" / ("quick" if size == "quick" else "full")
    outputs.mkdir(parents=True, exist_ok=True)
    flickr8k, coco = (Path(named[key]).expanduser() if key in named else None for key in ("flickr8k", "coco"))
    kept = told.records or (outputs if size == "quick" else HERE) / "records"
    workers = 0 if size == "tables" else told.workers
    for move in moves(size, flickr8k, coco, outputs):
        text = account(Study(move, size=size, outputs=outputs, records=kept, workers=workers, only=told.seeds))
        kept.parent.mkdir(parents=True, exist_ok=True)
        (kept.parent / f"{move.name}.md").write_text(f"{text}\n")
        print(f"\n{move.name}\n\n{text}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
