"""Probabilistic grammars without recursion: one tree both samples a string and gives the probability of any string.

A phrase is some words, a sequence of phrases, or a weighted choice between phrases. The probability of a string is
the sum over all its derivations, found by following every derivation through the string at once: `ends` maps each
position that a phrase can reach to the probability of the words in between.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Words:
    """Fixed words; none at all is allowed."""

    words: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Chain:
    """Phrases one after the other."""

    parts: tuple[Phrase, ...]


@dataclass(frozen=True, eq=False)
class Choice:
    """One of several phrases."""

    options: tuple[Phrase, ...]
    probabilities: tuple[float, ...]
    """All above 0; their sum is 1."""


Phrase = Words | Chain | Choice


def words(text: str) -> Words:
    """Return a phrase of these words."""
    return Words(tuple(text.split()))


def chain(*parts: Phrase | str) -> Chain:
    """Return a sequence of phrases; strings stand for their words."""
    return Chain(tuple(words(part) if isinstance(part, str) else part for part in parts))


def choice(*options: tuple[float, Phrase | str]) -> Choice:
    """Return a choice by weights, which need not sum to 1; weights of 0 are left out."""
    kept = [(weight, words(one) if isinstance(one, str) else one) for weight, one in options if weight > 0]
    total = sum(weight for weight, _ in kept)
    return Choice(tuple(one for _, one in kept), tuple(weight / total for weight, _ in kept))


def sample(phrase: Phrase, rng: random.Random) -> list[str]:
    """Draw a string."""
    if isinstance(phrase, Words):
        return list(phrase.words)
    if isinstance(phrase, Chain):
        return [word for part in phrase.parts for word in sample(part, rng)]
    return sample(rng.choices(phrase.options, phrase.probabilities)[0], rng)


def log_probability(phrase: Phrase, string: Sequence[str]) -> float:
    """Return log p(string), the sum over derivations, in nats; -inf outside the grammar's support."""
    probability = _ends(phrase, tuple(string), 0, {}).get(len(string), 0.0)
    return math.log(probability) if probability else -math.inf


_Memo = dict[tuple[int, int], dict[int, float]]


def _ends(phrase: Phrase, string: tuple[str, ...], start: int, memo: _Memo) -> dict[int, float]:
    """Return the probability of string[start:end] under the phrase, for every possible end."""
    if isinstance(phrase, Words):
        end = start + len(phrase.words)
        return {end: 1.0} if string[start:end] == phrase.words else {}
    key = (id(phrase), start)  # phrases are shared within a tree, which outlives the memo
    if key in memo:
        return memo[key]
    ends: dict[int, float] = {}
    if isinstance(phrase, Chain):
        ends = {start: 1.0}
        for part in phrase.parts:
            reached: dict[int, float] = {}
            for middle, before in ends.items():
                for end, after in _ends(part, string, middle, memo).items():
                    reached[end] = reached.get(end, 0.0) + before * after
            ends = reached
    else:
        for option, probability in zip(phrase.options, phrase.probabilities, strict=True):
            for end, inside in _ends(option, string, start, memo).items():
                ends[end] = ends.get(end, 0.0) + probability * inside
    memo[key] = ends
    return ends
