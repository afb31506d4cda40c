"""The images of a report, each with what every system says of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_caption.data.corpus import Split
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.evaluation.systems import System
from gan_caption.metrics.separation import probabilities
from gan_caption.reporting.page import Card, CardCaption

ORDERS = {
    "disagreement": "disagreement in CIDEr-D",
    "gain": "gain over the baseline in CIDEr-D",
    "loss": "loss against the baseline",
    "position": "order of the data",
}
"""Ways to sort the cards, by the keys of `Card.order`, as the page calls them."""


def cards_of(folder: Path, systems: Sequence[System], split: Split, count: int) -> list[Card]:
    """Save the first images of the split, and return a card each; one that cannot be read any more is left out.

    Args:
        folder: of the report; the images go to its `images/`.
        systems: the baseline first; cards show their first seed, and the others' captions in short.
        split: the images.
        count: how many.
    """
    (folder / "images").mkdir()
    cards = []
    for index in range(min(count, len(split))):
        name = f"images/{index}.jpg"
        try:
            image = split.image(index)
        except UserError as error:  # its features are cached, and all else of the report is known
            say(f"not in the gallery: {error}")
            continue
        image.thumbnail((320, 320))
        image.save(folder / name, quality=88)
        rows = [_said(system, index) for system in systems]
        ciders = [row.cider for row in rows]
        more = [f"{system.name}, seed {run.seed}: {run.texts[index]}" for system in systems for run in system.runs[1:]]
        gain = sum(ciders[1:]) / max(1, len(ciders) - 1) - ciders[0]
        order = {"disagreement": max(ciders) - min(ciders), "gain": gain, "loss": -gain, "position": -index}
        item = split.items[index]
        cards.append(Card(item.image_id, name, rows, more, item.captions, order))
    return cards


def _said(system: System, index: int) -> CardCaption:
    run = system.runs[0]
    true = bool(run.scores["oracle_true"].per_image[index] > 0) if "oracle_true" in run.scores else None
    bars = {} if run.judged is None else {"judge": float(probabilities(run.judged[index]))}
    bars |= {} if run.opinions is None else {"its D": run.opinions[index]}
    who = system.name if len(system.runs) == 1 else f"{system.name}, seed {run.seed}"
    return CardCaption(who, run.texts[index], float(run.scores["cider_d"].per_image[index]) * 100, true, bars)
