"""Words of a caption that nobody else used of its image: hallucination as far as references can tell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from nltk.stem.porter import PorterStemmer

_OF_ENGLISH = """
a an the this that these those some another other one each all both and or but while as with without in on at of to from
into onto over under by for near next behind between through around along across up down out off against inside outside
there it its he she they them his her their him who which what is are was be being has have had does do not no very
during
"""
FUNCTION_WORDS = frozenset(_OF_ENGLISH.split())
"""They claim nothing that could be seen."""
_stem = cache(PorterStemmer().stem)


def content(caption: str) -> set[str]:
    """Return the stems of a tokenized caption's content words."""
    return {_stem(word) for word in caption.split() if word.isalpha() and word not in FUNCTION_WORDS}


def unsupported(captions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return of each image's captions how many of their content words none of its references has, by their stems.

    An upper bound of what is wrong: five people do not name all that there is.

    Args:
        captions: of each image its tokenized captions.
        references: of each image what people wrote, tokenized.
    """
    known = [set().union(*map(content, own)) for own in references]
    return [[len(content(text) - said) for text in own] for own, said in zip(captions, known, strict=True)]
