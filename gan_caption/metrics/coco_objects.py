"""Which objects a caption names: COCO's 80 categories, by words that are listed and a few rules.

The list is `coco_objects.txt`. The idea and the rules for names of two words, for young animals and for what carries
passengers are CHAIR's (Rohrbach et al. 2018, arXiv 1809.02156, section 3); the list is our own.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.resources import files

ANIMALS = ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")
VEHICLES = ("airplane", "train", "bus", "car", "boat", "truck")
NO_OBJECT = (
    "train track", "train station", "bus stop", "bus station", "home plate", "ski lift", "ski slope", "ski resort",
    "ski jump", "ski pole", "chair lift", "toilet paper", "table cloth", "table top", "ball gown", "ball game",
    "book store", "book shelf", "dog house", "bird house", "bird bath", "baby carriage", "baby stroller", "man made",
    "boat house", "bed room", "horse shoe", "cat fish", "apple tree", "orange tree", "banana tree", "pizza box",
    "kid 's", "remote controlled", "skies",
)  # fmt: skip
"""Names in which a category's word is no object of that category."""
LONGEST = 3
"""Words of a name, at most."""
AFTER_A_FRUIT = (
    ".", ",", "and", "or", "on", "in", "with", "at", "of", "to", "from", "is", "are", "that", "near", "next", "beside",
    "by", "for", "sitting",
)  # fmt: skip
"""What may follow where "orange" is a fruit; before any other word it is a colour."""


def objects(caption: str) -> list[str]:
    """Return the categories of the objects that a caption names, in order, each as often as it is named.

    The longest name counts: a hot dog is no dog, and a fire truck one truck. "baby bird" and "adult cat" name no
    person, "passenger jet" neither. Names are known in the plural as well.

    Args:
        caption: tokenized, words and signs between spaces, in small letters.
    """
    words = caption.split()
    found: list[str] = []
    place = 0
    while place < len(words):
        length, category = _named(words, place)
        if category == "orange" and not _is_fruit(words, place):
            category = None
        if category:
            found.append(category)
        place += length
    return found


def _named(words: Sequence[str], place: int) -> tuple[int, str | None]:
    """Return how many words from a place on belong together, and the category that they name."""
    for length in range(min(LONGEST, len(words) - place), 0, -1):
        before = "".join(f"{word} " for word in words[place : place + length - 1])
        for last in _forms(words[place + length - 1]):
            if before + last in _names():
                return length, _names()[before + last]
    return 1, None


@functools.lru_cache(maxsize=100_000)
def _forms(word: str) -> tuple[str, ...]:
    """Return a word as it stands, and what may be its singular, whatever is likeliest to be a name first.

    "skis", "tvs" and "labradors" lose their -s, though a lemmatizer may not know them; it tells what "benches" are.
    """
    if word.endswith("men"):
        return word, f"{word[:-3]}man"
    if word.endswith("ves"):
        return word, f"{word[:-3]}fe", f"{word[:-3]}f", word[:-1]
    if word.endswith("s"):
        return word, word[:-1], singular(word)
    return (word,)


@functools.lru_cache(maxsize=100_000)
def singular(word: str) -> str:
    """Return the singular of a noun in the plural, and any other word as it is.

    A word in -s only is asked for: "skiing" is no ski. Other plurals ("geese") are in the list of names.
    """
    if not word.endswith("s") or len(word) < 4:
        return word
    import simplemma  # reads its English word list when it is first asked

    lemma: str = simplemma.lemmatize(word, lang="en")
    return lemma


def _is_fruit(words: Sequence[str], place: int) -> bool:
    after = words[place + 1] if place + 1 < len(words) else "."
    return words[place] == "oranges" or after in AFTER_A_FRUIT


@functools.cache
def _names() -> dict[str, str | None]:
    """Return the category of every name; None of what names no object."""
    names: dict[str, str | None] = {}
    synonyms: dict[str, list[str]] = {}
    for line in files("gan_caption.metrics").joinpath("coco_objects.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            category, _, others = line.partition(":")
            synonyms[category] = [category, *(name.strip() for name in others.split(",") if name.strip())]
    for category, own in synonyms.items():
        names |= dict.fromkeys(own, category)
    for animal in ANIMALS:
        names |= {f"{age} {name}": animal for age in ("baby", "adult") for name in synonyms[animal]}
    for vehicle in VEHICLES:
        names |= {f"passenger {name}": vehicle for name in synonyms[vehicle]}
    return {**names, **dict.fromkeys(NO_OBJECT)}


def categories() -> list[str]:
    """Return the names of the 80 categories."""
    return sorted({category for category in _names().values() if category})
