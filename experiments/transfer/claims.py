"""How much captions of scenes say that is true.

The share of true captions can be bought by silence: who names one object of three is seldom wrong, and seldomer where
objects are new. Claims of true captions cannot: whoever says less has less.
"""

from __future__ import annotations

from gan_caption.data.scenes.judge import Mention, parse


def claims(caption: str) -> int:
    """Return how many claims a caption makes: objects, their colours, sizes and textures, a place, relations, numbers.

    Of an ungrammatical caption that is 0.
    """
    meaning = parse(caption)
    if meaning is None:
        return 0
    if meaning.group is not None:
        return sum(told is not None for told in meaning.group)
    told = [*map(_claims_of, meaning.mentions), meaning.place is not None, len(meaning.relations)]
    return sum(told)


def _claims_of(mention: Mention) -> int:
    return sum(told is not None for told in (mention.shape, mention.colour, mention.size, mention.texture))
