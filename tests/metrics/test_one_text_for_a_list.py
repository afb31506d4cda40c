"""A text where a list of texts is wanted is refused: Python would take it letter by letter."""

from __future__ import annotations

import pytest

from gan_caption.errors import UserError
from gan_caption.metrics import (
    CiderD,
    DocumentFrequencies,
    Predictions,
    bleu,
    character_tokenize,
    cider,
    cider_d,
    distinct_n,
    div_n,
    length_distance,
    mbleu,
    ptb_tokenize,
    rouge_l,
    self_bleu,
    self_cider,
    unique_share,
    verbatim_share,
    vocabulary_size,
)
from gan_caption.metrics.language_model import NgramModel

TEXT = "ab"
LISTS = [["a dog", "a cat"], ["a man", "a bike"]]
FREQUENCIES = DocumentFrequencies.of(LISTS)

CALLS = {
    "ptb_tokenize": lambda: ptb_tokenize(TEXT),
    "character_tokenize": lambda: character_tokenize(TEXT),
    **{
        f"{scored.__name__}, {what}": lambda scored=scored, given=given: scored(*given)
        for scored in (bleu, rouge_l, cider, cider_d)
        for what, given in {
            "candidates": (TEXT, LISTS),
            "references": (["a", "b"], TEXT),
            "an image's references": (["a", "b"], [LISTS[0], TEXT]),
        }.items()
    },
    "CiderD": lambda: CiderD([LISTS[0], TEXT]),
    "CiderD.score": lambda: CiderD(LISTS).score([0, 1], TEXT),
    "CiderD.cosines": lambda: CiderD(LISTS).cosines([0, 1], TEXT),
    "DocumentFrequencies.of": lambda: DocumentFrequencies.of([LISTS[0], TEXT]),
    "DocumentFrequencies.of_many": lambda: DocumentFrequencies.of_many([LISTS[0], TEXT]),
    "DocumentFrequencies.of_many, one text": lambda: DocumentFrequencies.of_many(TEXT),
    "DocumentFrequencies.check": lambda: FREQUENCIES.check([TEXT]),
    "div_n": lambda: div_n([TEXT], 1),
    "div_n, one text": lambda: div_n(TEXT, 1),
    "mbleu": lambda: mbleu([TEXT]),
    "self_cider": lambda: self_cider([TEXT], FREQUENCIES),
    "self_bleu": lambda: self_bleu(TEXT),
    "distinct_n": lambda: distinct_n(TEXT, 1),
    "unique_share": lambda: unique_share(TEXT),
    "vocabulary_size": lambda: vocabulary_size(TEXT),
    "verbatim_share": lambda: verbatim_share(TEXT, {"a"}),
    "verbatim_share, training": lambda: verbatim_share(["a"], TEXT),
    "length_distance, captions": lambda: length_distance(TEXT, LISTS),
    "length_distance, references": lambda: length_distance(["a"], [TEXT]),
    "Predictions, captions": lambda: Predictions(TEXT, (), LISTS, FREQUENCIES),
    "Predictions, samples": lambda: Predictions(["a"], [TEXT], LISTS, FREQUENCIES),
    "Predictions, references": lambda: Predictions(["a"], (), [TEXT], FREQUENCIES),
    "NgramModel": lambda: NgramModel(TEXT, words=["a"]),
    "NgramModel, words": lambda: NgramModel(["a"], words=TEXT),
    "NgramModel.nll_per_token": lambda: NgramModel(["a"], words=["a"]).nll_per_token(TEXT),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_one_text_is_refused_and_the_message_says_what_to_give(call):
    with pytest.raises(UserError, match=r"'ab' is one text, and a list of texts is wanted: give \[text\]"):
        call()
