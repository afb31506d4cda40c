"""Do adversarial captioners lose less than maximum likelihood away from home? See README.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.study import evaluate, found_or_trained, seen, transfer
from experiments.transfer.topics import write_topics
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
SEEDS = tuple(range(5))
PAGES = (
    "control_more_mle", "nsc", "chen", "seqgan", "gold", "ddo", "kl_ratio", "control_blind", "control_constant",
)  # fmt: skip
QUICK_PAGES = ("control_more_mle", "nsc")
SHARED = ("tracker=local", "holdout.check=0.05")
UPDATES = (
    "adversarial.steps=300", "adversarial.learning_rate=1e-4", "adversarial.quality_floor=0",
    "adversarial.entropy_floor=0", "adversarial.validate_every=150",
)  # fmt: skip
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
    endpoint: str
    """The metric that the verdict goes by."""
    native: tuple[str, ...] | None
    """What a run is trained with that is at home there; None: nobody is."""


def moves(size: str, flickr8k: Path | None, coco: Path | None, outputs: Path) -> list[Move]:
    """Return the moves whose data are there."""
    quick = size == "quick"
    small = ("data.train=100", "data.val=8", "data.test=12") if quick else ()
    tiny = ("encoder.width=8", "phases.words.steps=5", "phases.words.images_per_batch=8") if quick else ()
    found = [
        Move("scenes", ("data=scenes_unseen", *small, *tiny), ("data=scenes_unseen", "data.test_shows=unseen", *small),
             "oracle_true", ("data=scenes", *small, *tiny)),
    ]  # fmt: skip
    if flickr8k is not None:
        topics = outputs / "topics"
        if quick:
            write_topics(flickr8k, topics, seed=0, train=40, sizes=QUICK_TOPICS)
        else:
            write_topics(flickr8k, topics, seed=0, train=None)
        people, animals = (("data=flickr8k", f"data.root={topics / topic}") for topic in ("people", "animals"))
        found.append(Move("topics", (*people, *PHOTOGRAPHS), animals, "cider_d", (*animals, *PHOTOGRAPHS)))
        if coco is not None:
            found.append(
                Move("coco", ("data=flickr8k", f"data.root={flickr8k}", *PHOTOGRAPHS),
                     ("data=coco", f"data.root={coco}", "split=val", "skip_missing=true"), "cider_d", None)
            )  # fmt: skip
    return found


def carry_out(move: Move, size: str, *, outputs: Path, workers: int) -> str:
    """Train what is missing, measure the runs at home and away, and return the account."""
    seeds, pages, few = (SEEDS[:1], QUICK_PAGES, QUICK) if size == "quick" else (SEEDS, PAGES, ())

    def runs(wanted: Mapping[Any, Sequence[str]]) -> dict[Any, Path]:
        found = found_or_trained(list(wanted.values()), outputs=outputs, workers=workers)
        return {key: run for key, run in zip(wanted, found, strict=True) if run is not None}

    bases = runs({seed: ("+experiment=mle", f"seed={seed}", *move.home, *SHARED, *few) for seed in seeds})
    updates = () if size == "quick" else UPDATES
    others = runs({
        (page, seed): (f"+experiment={page}", f"seed={seed}", f"pretrained={base}", *move.home, *SHARED, *updates, *few)
        for page in pages
        for seed, base in bases.items()
    })  # fmt: skip
    if not bases or not others:
        return f"{move.name}: no run is finished yet: full trains them"
    out = outputs / "transfer" / move.name
    text = transfer([*bases.values(), *others.values()], *move.away, f"endpoint={move.endpoint}", out=out)
    parts = [text, smallest_effects(json.loads((out / "transfer.json").read_text()), move.endpoint)]
    if move.native is not None:
        natives = runs({seed: ("+experiment=mle", f"seed={seed}", *move.native, *SHARED, *few) for seed in seeds})
        told = [evaluate(run, "split=test", *move.away)["mle"][move.endpoint] for run in natives.values()]
        if told:
            reached = " ".join(f"{value:.4f}" for value in told)
            parts.append(f"Maximum likelihood that is at home there reaches, a seed each: {move.endpoint} {reached}.")
    return "\n\n".join(parts)


def smallest_effects(told: Mapping[str, Any], endpoint: str) -> str:
    """Return which difference of losses each comparison sees with 80%, by the width of its interval."""
    rows = [["", "seen with 80%"]]
    for row in told["losses"]:
        if row["metric"] == endpoint and row["more_than_baseline"] is not None:
            low, high = row["more_than_baseline"]["interval"]
            rows.append([row["system"], f"{seen((low, high)):.4f}"])
    return f"The smallest difference of losses ({endpoint}, 0 to 1 or 10):\n\n{markdown(rows)}"


def main(size: str = "full", *given: str) -> None:
    named = dict(one.split("=", 1) for one in given)
    if size not in ("full", "quick", "tables") or named.keys() - {"flickr8k", "coco", "workers"}:
        sys.exit("full, quick or tables of what is finished; then flickr8k=<folder> coco=<folder> workers=2")
    outputs = HERE / "outputs" / ("quick" if size == "quick" else "full")
    outputs.mkdir(parents=True, exist_ok=True)
    places = [Path(named[key]).expanduser() if key in named else None for key in ("flickr8k", "coco")]
    workers = 0 if size == "tables" else int(named.get("workers", "2"))
    tables = outputs if size == "quick" else HERE
    for move in moves(size, *places, outputs):
        text = carry_out(move, size, outputs=outputs, workers=workers)
        (tables / f"{move.name}.md").write_text(f"{text}\n")
        print(f"\n{move.name}\n\n{text}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
