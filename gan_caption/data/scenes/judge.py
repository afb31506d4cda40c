"""Is a caption grammatical, is it true of its scene, and what in it is hallucinated?

Written apart from the grammar that draws captions, with a regular expression, so that each checks the other: a caption
has a probability above 0 exactly when it is grammatical and true.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

from gan_caption.data.scenes import language
from gan_caption.data.scenes.world import COLOURS, PLACES, RELATIONS, Scene, Thing


@dataclass(frozen=True)
class Mention:
    """One object as a caption describes it; None where the caption is silent."""

    shape: str
    colour: str | None = None
    size: str | None = None
    texture: str | None = None


@dataclass(frozen=True)
class Meaning:
    """What a grammatical caption claims."""

    mentions: tuple[Mention, ...] = ()
    place: str | None = None
    """Of the first mention."""
    relations: tuple[tuple[int, str, int], ...] = ()
    """(subject, relation, object), by position among the mentions."""
    group: tuple[int, str | None, str | None] | None = None
    """How many objects there are of a shape and a colour."""


@dataclass(frozen=True)
class Judgement:
    """What is wrong with a caption."""

    grammatical: bool
    hallucinations: tuple[str, ...] = field(default=())
    """Claims that do not hold, such as "object: star", "colour: red", "relation: above"; () of an ungrammatical one."""

    @property
    def true(self) -> bool:
        """Whether the caption is grammatical and every claim of it holds."""
        return self.grammatical and not self.hallucinations


def judge(caption: str, scene: Scene) -> Judgement:
    """Judge a caption of a scene.

    Mentions are matched with different objects of the same shape so that the fewest claims fail: a mention that finds
    no object is one hallucination, whatever it says; otherwise each attribute, place, relation or number that does
    not hold is one.
    """
    meaning = parse(caption)
    if meaning is None:
        return Judgement(grammatical=False)
    if meaning.group is not None:
        number, shape, colour = meaning.group
        actual = language.count(scene, shape, colour)
        return Judgement(True, () if actual == number else (f"number: {number}",))
    candidates: list[Thing | None] = [*scene.things, *[None] * len(meaning.mentions)]
    found = [
        _failures(meaning, order)
        for order in itertools.permutations(candidates, len(meaning.mentions))
        if all(one is None or one.shape == told.shape for told, one in zip(meaning.mentions, order, strict=True))
    ]
    return Judgement(True, min(found, key=_badness))


def parse(caption: str) -> Meaning | None:
    """Return what a caption claims; None of an ungrammatical one. Its words may stand any number of spaces apart."""
    caption = " ".join(caption.split())
    if not language.articles_agree(caption.split()):
        return None
    found = _CAPTION.fullmatch(caption)
    if found is None:
        return None
    part = found.groupdict()
    if part["number"]:
        number = _NUMBER_OF[part["number"]]
        shape = None if part["plural"] in language.ANYTHING else _SHAPE_OF_PLURAL[part["plural"]]
        return Meaning(group=(number, shape, part["group_colour"]))
    nouns = sorted((name for name in part if name.startswith("noun") and part[name]), key=found.start)
    mentions = [_mention(part[name]) for name in nouns]
    if any(mention is None for mention in mentions):
        return None
    relation = next((part[name] for name in part if name.startswith("relation") and part[name]), None)
    place = next((part[name] for name in part if name.startswith("place") and part[name]), None)
    subjects = range(len(mentions) - 1) if relation else ()
    return Meaning(
        mentions=tuple(mention for mention in mentions if mention is not None),
        place=_PLACE_OF[place] if place else None,
        relations=tuple((one, _RELATION_OF[relation], len(mentions) - 1) for one in subjects) if relation else (),
    )


def _mention(text: str) -> Mention | None:
    found = re.fullmatch(_NOUN_PARTS, text)
    assert found is not None
    size, adjective, colour, noun, tail = found.groups()
    if adjective and tail:  # a texture is told once
        return None
    texture = _TEXTURE_OF[adjective or tail] if adjective or tail else None
    return Mention(_SHAPE_OF[noun], colour, _SIZE_OF[size] if size else None, texture)


def _failures(meaning: Meaning, things: tuple[Thing | None, ...]) -> tuple[str, ...]:
    """List the claims that fail when the mentions mean these objects."""
    failed = []
    for mention, thing in zip(meaning.mentions, things, strict=True):
        if thing is None:
            failed.append(f"object: {mention.shape}")
            continue
        for attribute in ("colour", "size", "texture"):
            told = getattr(mention, attribute)
            if told is not None and told != getattr(thing, attribute):
                failed.append(f"{attribute}: {told}")
    if meaning.place is not None and things[0] is not None and not PLACES[meaning.place](things[0]):
        failed.append(f"place: {meaning.place}")
    for first, relation, second in meaning.relations:
        subject, other = things[first], things[second]
        if subject is not None and other is not None and not RELATIONS[relation](subject, other):
            failed.append(f"relation: {relation}")
    return tuple(failed)


def _badness(failed: tuple[str, ...]) -> tuple[int, int]:
    return sum(one.startswith("object:") for one in failed), len(failed)


def _inverse(table: dict[str, dict[str, float]]) -> dict[str, str]:
    return {word: meaning for meaning, synonyms in table.items() for word in synonyms}


def _any(options: object) -> str:
    return "(?:" + "|".join(sorted(options, key=lambda text: -len(text))) + ")"  # type: ignore[call-overload]


_SIZE_OF = _inverse(language.SIZE_WORDS)
_TEXTURE_OF = _inverse(language.TEXTURE_ADJECTIVES) | _inverse(language.TEXTURE_TAILS)
_SHAPE_OF = _inverse(language.NOUNS)
_SHAPE_OF_PLURAL = {language.PLURALS[noun]: shape for noun, shape in _SHAPE_OF.items()}
_PLACE_OF = {name: name for name in PLACES} | _inverse(language.PLACE_WORDS)
_RELATION_OF = _inverse(language.RELATION_WORDS)
_NUMBER_OF = {word: number for number, word in language.NUMBERS.items()}

_ADJECTIVES = _any(_inverse(language.TEXTURE_ADJECTIVES))
_TAILS = _any(_inverse(language.TEXTURE_TAILS))
_NOUN_PARTS = (
    rf"(?:({_any(_SIZE_OF)}) )?(?:({_ADJECTIVES}) )?(?:({_any(COLOURS)}) )?({_any(_SHAPE_OF)})(?: ({_TAILS}))?"
)
_NOUN = re.sub(r"\((?!\?)", "(?:", _NOUN_PARTS)
_PLACE, _RELATION = _any(_PLACE_OF), _any(_RELATION_OF)


def _noun(number: int, articles: str = "(?:an?|one)") -> str:
    return rf"{articles} (?P<noun{number}>{_NOUN})"


_FRAME = "(?:there is |a picture of |we see )?"
_CAPTION = re.compile(
    "|".join(
        [
            rf"{_FRAME}{_noun(1)}(?: (?P<place1>{_PLACE}))?",
            rf"{_noun(2, 'the')} is (?P<place2>{_PLACE})",
            rf"{_FRAME}{_noun(3)} (?:and|(?P<relation1>{_RELATION})) {_noun(4)}",
            rf"{_noun(5, 'the')} is (?P<relation2>{_RELATION}) {_noun(6)}",
            rf"{_FRAME}{_noun(7)} {_noun(8)} and {_noun(9)}",
            rf"{_FRAME}{_noun(10)} and {_noun(11)} (?P<relation3>{_RELATION}) {_noun(12)}",
            rf"(?:there are |a picture of |we see )?(?P<number>two|three) (?:(?P<group_colour>{_any(COLOURS)}) )?"
            rf"(?P<plural>{_any([*_SHAPE_OF_PLURAL, *language.ANYTHING])})",
        ]
    )
)
