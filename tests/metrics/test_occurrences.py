"""How often n-grams occur, and in how many images: against counting them in dictionaries."""

from __future__ import annotations

import math
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_caption.metrics import CiderD, DocumentFrequencies, bleu, occurrences
from gan_caption.metrics.coded import code, learn

captions = st.lists(st.sampled_from("abcdé"), max_size=9).map(" ".join)


def grams(caption, n):
    words = caption.split()
    return [" ".join(words[start : start + n]) for start in range(len(words) - n + 1)]


@given(st.lists(st.tuples(captions, captions), min_size=1, max_size=5), st.sampled_from([1, 30, 1 << 20]))
@settings(deadline=None)
def test_an_ngram_is_counted_where_it_begins(pairs, at_once):
    known: dict[str, int] = {}
    every = np.arange(len(pairs))
    other = learn([pair[1] for pair in pairs], known).rectangle(every)
    own = code([pair[0] for pair in pairs], known).rectangle(every)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(occurrences, "_COMPARED_AT_ONCE", at_once)
        found = occurrences.occurrences(own, other)
    for column, (caption, told) in enumerate(pairs):
        for n in range(1, 5):
            there = Counter(grams(told, n))
            expected = [there[gram] for gram in grams(caption, n)]
            assert found[n - 1, : len(expected), column].tolist() == expected
            assert not found[n - 1, len(expected) :, column].any()


@given(captions, captions)
@settings(deadline=None)
def test_long_captions_are_counted_as_short_ones_are(own, told):
    """Where words with words are too many, n-grams are sorted."""
    known: dict[str, int] = {}
    pair = [learn([one], known).rectangle(np.arange(1)) for one in (f"{told} a b c", f"{own} c a b")]
    compared = occurrences.occurrences(pair[1], pair[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(occurrences, "_COMPARED_AT_ONCE", 0)
        assert np.array_equal(occurrences.occurrences(pair[1], pair[0]), compared)


def test_captions_of_many_thousand_words_are_scored():
    """Each of 40,000 words compared with each of as many would take a minute."""
    words = [f"w{word}" for word in np.random.default_rng(0).integers(500, size=40_000)]
    long, half = " ".join(words), " ".join(words[:20_000])
    score = bleu([half, "a"], [[long], ["a"]])
    assert score.counts[0, :4].tolist() == [20_000, 19_999, 19_998, 19_997]
    assert CiderD([[long], ["a b c d"]]).score([0, 1], [long, "a b c d"]) == pytest.approx([10, 10])


def test_more_of_one_ngram_than_a_byte_counts():
    long = learn(["a " * 300], {}).rectangle(np.arange(1))
    assert occurrences.occurrences(long, long)[:, 0, 0].tolist() == [300, 299, 298, 297]


@given(st.lists(st.lists(captions, max_size=3), min_size=2, max_size=5), st.lists(captions, max_size=4))
@settings(deadline=None)
def test_weights_are_those_of_counting_images(references, asked):
    frequencies = DocumentFrequencies.of(references)
    having = Counter(
        gram for own in references for gram in {gram for text in own for n in range(1, 5) for gram in grams(text, n)}
    )
    coded = code([*asked, "a new word"], frequencies.words)
    weights = frequencies.weights(coded.rectangle(np.arange(len(coded.lengths))))
    for column, caption in enumerate([*asked, "a new word"]):
        for n in range(1, 5):
            expected = [math.log(len(references) / max(having[gram], 1)) for gram in grams(caption, n)]
            assert weights[n - 1, : len(expected), column].tolist() == pytest.approx(expected, abs=1e-12)


def test_what_is_compared_at_once_changes_no_score(monkeypatch):
    references = [["a b a b c", "d"], ["c d e a"], ["", "b b b b b b"]]
    candidates = ["a b a b", "a c d e a b", "b b"]

    def scores():
        metric = CiderD(references)
        return [
            metric.score([0, 1, 2], candidates),
            metric.cosines([0, 1, 2], candidates),
            bleu(candidates, references).counts,
        ]

    whole = scores()
    monkeypatch.setattr(occurrences, "_COMPARED_AT_ONCE", 20)
    for once, again in zip(whole, scores(), strict=True):
        assert again == pytest.approx(once, abs=1e-12)


def test_a_very_long_caption_is_scored_in_bounded_memory():
    long = "a b " * 5_000  # compared at once, its words with one another would be 100 MB
    tracemalloc.start()
    try:
        values = CiderD([["a b", "c"], ["a d"]]).score([0, 1], [long, "a d"])
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert values[1] == pytest.approx(5.0)
    assert 0 <= values[0] < 1e-3
