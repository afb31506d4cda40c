"""The English of scenes: which captions a scene gets, with which probability.

    caption   = one | two | three | group            by the number of objects in the scene
    one       = frame NP | frame NP place | the N is place
    two       = frame NP and NP | frame NP relation NP | the N is relation NP
    three     = frame NP NP and NP | frame NP and NP relation NP       a relation that is true of both
    group     = frame number [colour] shapes         all objects of a shape, of a colour, of both, or of the scene
    frame     = "" | there is | a picture of | we see      (there are, before a group)
    NP        = (a | one) N
    N         = [size] [texture] [colour] shape [with stripes | with dots]

Every choice has the probability written beside it below: which objects are mentioned (large ones twice as often), in
which order, which of their attributes, by which synonym, with which relation. "a" becomes "an" before a vowel.
There are no commas. Exactly the grammatical captions that are true of a scene have a probability above 0.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Sequence

from gan_caption.data.scenes import grammar
from gan_caption.data.scenes.grammar import Phrase, chain, choice, words
from gan_caption.data.scenes.world import COLOURS, PLACES, RELATIONS, SHAPES, Scene, Thing

SIZE_WORDS = {"large": {"large": 0.5, "big": 0.5}, "small": {"small": 0.6, "little": 0.25, "tiny": 0.15}}
TEXTURE_ADJECTIVES = {
    "filled": {"solid": 0.15},
    "striped": {"striped": 0.45},
    "dotted": {"dotted": 0.25, "spotted": 0.2},
}
"""With the probability of each in a noun phrase."""
TEXTURE_TAILS = {"striped": {"with stripes": 0.25}, "dotted": {"with dots": 0.25}}
NOUNS = {
    "circle": {"circle": 0.7, "disc": 0.3},
    "square": {"square": 0.7, "box": 0.3},
    "triangle": {"triangle": 1.0},
    "star": {"star": 1.0},
    "cross": {"cross": 1.0},
}
PLURALS = {"circle": "circles", "disc": "discs", "square": "squares", "box": "boxes"} | {
    shape: f"{shape}s" for shape in ("triangle", "star")
} | {"cross": "crosses"}  # fmt: skip
ANYTHING = {"shapes": 0.6, "objects": 0.4}
PLACE_WORDS = {
    "in the middle": {"in the middle": 0.6, "in the centre": 0.4},
    "at the top": {"at the top": 1.0},
    "at the bottom": {"at the bottom": 1.0},
}
RELATION_WORDS = {
    "to the left of": {"to the left of": 0.6, "left of": 0.4},
    "to the right of": {"to the right of": 0.6, "right of": 0.4},
    "above": {"above": 0.7, "over": 0.3},
    "below": {"below": 0.6, "under": 0.4},
    "next to": {"next to": 0.6, "beside": 0.4},
}
NUMBERS = {2: "two", 3: "three"}
FRAMES = {"": 0.5, "there is": 0.2, "a picture of": 0.15, "we see": 0.15}
GROUP_FRAMES = {"": 0.5, "there are": 0.2, "a picture of": 0.15, "we see": 0.15}
ARTICLES = {"a": 0.85, "one": 0.15}


@functools.lru_cache(maxsize=2000)
def captions_of(scene: Scene) -> Phrase:
    """Return the grammar of a scene's captions, before "a" becomes "an"."""
    things = scene.things
    nouns = {thing: _noun_phrase(thing.size, thing.colour, thing.shape, thing.texture) for thing in things}
    indefinite = {thing: chain(_synonym(ARTICLES), noun) for thing, noun in nouns.items()}
    definite = {thing: chain("the", noun) for thing, noun in nouns.items()}
    frame = _synonym(FRAMES)

    def one(thing: Thing) -> Phrase:
        place = choice(*((1.0, _synonym(PLACE_WORDS.get(name, {name: 1.0}))) for name in places_of(thing)))
        return choice(
            (0.4, chain(frame, indefinite[thing])),
            (0.35, chain(frame, indefinite[thing], place)),
            (0.25, chain(definite[thing], "is", place)),
        )

    def two(first: Thing, second: Thing) -> Phrase:
        relation = _relation(relations_of(first, second))
        return choice(
            (0.35, chain(frame, indefinite[first], "and", indefinite[second])),
            (0.4, chain(frame, indefinite[first], relation, indefinite[second])),
            (0.25, chain(definite[first], "is", relation, indefinite[second])),
        )

    def three(first: Thing, second: Thing, third: Thing) -> Phrase:
        pair = chain(indefinite[first], "and", indefinite[second])
        listed = chain(frame, indefinite[first], indefinite[second], "and", indefinite[third])
        shared = [name for name in relations_of(first, third) if name in relations_of(second, third)]
        if not shared:
            return listed
        return choice((0.5, listed), (0.5, chain(frame, pair, _relation(shared), indefinite[third])))

    plans: list[tuple[float, Phrase]] = []
    shares = {1: (1.0, 0.0, 0.0, 0.0), 2: (0.3, 0.55, 0.0, 0.15), 3: (0.2, 0.4, 0.25, 0.15)}[len(things)]
    for share, mentioned, tell in zip(shares[:3], (1, 2, 3), (one, two, three), strict=True):
        if share:
            orders = list(itertools.permutations(things, mentioned))
            salience = [math.prod(2.0 if thing.size == "large" else 1.0 for thing in order) for order in orders]
            told = [(weight, tell(*order)) for weight, order in zip(salience, orders, strict=True)]  # type: ignore[operator]
            plans.append((share, choice(*told)))
    if shares[3]:
        groups = [(1.0, _group(*group)) for group in groups_of(scene)]
        plans.append((shares[3], chain(_synonym(GROUP_FRAMES), choice(*groups))))
    return choice(*plans)


def places_of(thing: Thing) -> list[str]:
    """Return the places that are true of an object."""
    return [name for name, holds in PLACES.items() if holds(thing)]


def relations_of(first: Thing, second: Thing) -> list[str]:
    """Return the relations that are true of two objects, in this order."""
    return [name for name, holds in RELATIONS.items() if holds(first, second)]


def groups_of(scene: Scene) -> list[tuple[int, str | None, str | None]]:
    """Return the groups of two or more objects: their number, shape and colour; None stands for any."""
    groups: list[tuple[int, str | None, str | None]] = []
    for shape, colour in itertools.product((None, *SHAPES), (None, *COLOURS)):
        number = count(scene, shape, colour)
        if number >= 2:
            groups.append((number, shape, colour))
    return groups


def count(scene: Scene, shape: str | None, colour: str | None) -> int:
    """Count the objects of a shape and a colour; None stands for any."""
    return sum(shape in (None, thing.shape) and colour in (None, thing.colour) for thing in scene.things)


def draw_caption(phrase: Phrase, rng: random.Random) -> str:
    """Draw a caption from what `captions_of` gave."""
    drawn = grammar.sample(phrase, rng)
    return " ".join(
        "an" if word == "a" and _begins_with_vowel(drawn[index + 1]) else word for index, word in enumerate(drawn)
    )


def log_probability(phrase: Phrase, caption: str) -> float:
    """Return log p(caption | scene) in nats, exact: a sum over all derivations; -inf outside the support.

    Args:
        phrase: what `captions_of` gave for the scene.
        caption: any string of words.
    """
    string = caption.split()
    if not articles_agree(string):
        return -math.inf
    return grammar.log_probability(phrase, ["a" if word == "an" else word for word in string])


def articles_agree(string: Sequence[str]) -> bool:
    """Tell whether every "a" stands before a consonant, and every "an" before a vowel."""
    following = [*string, ""][1:]
    return all(
        word not in ("a", "an") or (word == "an") == _begins_with_vowel(after)
        for word, after in zip(string, following, strict=True)
    )


# What scenes have in common is made once, and shared by their grammars.


@functools.cache
def _noun_phrase(size: str, colour: str, shape: str, texture: str) -> Phrase:
    sized = choice((0.6, ""), (0.4, _synonym(SIZE_WORDS[size])))
    coloured = choice((0.15, ""), (0.85, colour))
    noun = _synonym(NOUNS[shape])
    adjectives, tails = TEXTURE_ADJECTIVES[texture], TEXTURE_TAILS.get(texture, {})
    silent = 1.0 - sum(adjectives.values()) - sum(tails.values())
    return choice(
        (silent, chain(sized, coloured, noun)),
        *((weight, chain(sized, word, coloured, noun)) for word, weight in adjectives.items()),
        *((weight, chain(sized, coloured, noun, tail)) for tail, weight in tails.items()),
    )


@functools.cache
def _group(number: int, shape: str | None, colour: str | None) -> Phrase:
    nouns = ANYTHING if shape is None else {PLURALS[noun]: weight for noun, weight in NOUNS[shape].items()}
    return chain(NUMBERS[number], colour or "", _synonym(nouns))


def _relation(names: Sequence[str]) -> Phrase:
    return choice(*((1.0, _synonym(RELATION_WORDS[name])) for name in names))


def _synonym(weights: dict[str, float]) -> Phrase:
    return _one_of(tuple(weights.items()))


@functools.cache
def _one_of(weighted: tuple[tuple[str, float], ...]) -> Phrase:
    return choice(*((weight, words(text)) for text, weight in weighted))


def _begins_with_vowel(word: str) -> bool:
    return word[:1] in set("aeiou") and word != "one"  # "one" sounds like "won"
