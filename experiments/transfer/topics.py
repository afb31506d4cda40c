"""Flickr8k divided by what captions name: people at home, animals away; each a folder that `data=flickr8k` reads."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from gan_caption.data.annotations import read_names, read_tokens
from gan_caption.errors import UserError
from gan_caption.metrics.coco_objects import ANIMALS, objects
from gan_caption.metrics.tokenizer import ptb_tokenize

TOPICS = {"people": {"person"}, "animals": set(ANIMALS)}
MOST = 3
"""Captions of five that name a topic, at least; none names the other."""
SIZES = {"test": 500, "val": 200}
"""Images; train has the rest."""
_LISTS = {"train": "Flickr_8k.trainImages.txt", "val": "Flickr_8k.devImages.txt", "test": "Flickr_8k.testImages.txt"}
_TOKENS, _IMAGES = "Flickr8k.token.txt", "Flicker8k_Dataset"


def topic_of(captions: Sequence[str]) -> str | None:
    """Return the topic of an image by its captions; None where they name both, or neither often enough."""
    named = [set(objects(text)) for text in ptb_tokenize(captions)]
    counts = {topic: sum(bool(own & words) for own in named) for topic, words in TOPICS.items()}
    found = [topic for topic, count in counts.items() if count >= MOST and sum(counts.values()) == count]
    return found[0] if found else None


def write_topics(flickr8k: Path, folder: Path, *, seed: int, train: int | None, sizes: dict[str, int] = SIZES) -> None:
    """Write a folder a topic, whose photographs and captions are those of Flickr8k, with lists of its own.

    Args:
        flickr8k: in the official layout; lists that are not there are done without.
        folder: to write to.
        seed: of the division of each topic's images.
        train: images to train on at most; None takes all.
        sizes: images of the other splits.

    Raises:
        UserError: a topic has too few images.
    """
    captions = read_tokens(flickr8k / _TOKENS)
    listed = [name for file in _LISTS.values() if (flickr8k / file).is_file() for name in read_names(flickr8k / file)]
    topics = {name: topic_of(captions[name]) for name in sorted(listed)}
    for topic in TOPICS:
        names = [name for name, found in topics.items() if found == topic]
        if len(names) <= sum(sizes.values()):
            raise UserError(f"{flickr8k}: {len(names)} images are of {topic}, and {sum(sizes.values())} are for tests")
        random.Random(f"{seed}/{topic}").shuffle(names)
        root = folder / topic
        root.mkdir(parents=True, exist_ok=True)
        for linked in (_TOKENS, _IMAGES):
            wanted = (flickr8k / linked).resolve()
            if not (root / linked).is_symlink() or (root / linked).readlink() != wanted:  # a training may be reading
                (root / linked).unlink(missing_ok=True)
                (root / linked).symlink_to(wanted)
        start = 0
        for split, size in (*sizes.items(), ("train", train or len(names))):
            (root / _LISTS[split]).write_text("".join(f"{name}\n" for name in names[start : start + size]))
            start += size
