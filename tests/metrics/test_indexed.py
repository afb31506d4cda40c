"""n-grams as integers: against counting them in a dictionary."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gan_caption.metrics.indexed import NgramIndex

captions = st.lists(st.sampled_from("abcdé"), max_size=9).map(" ".join)


def grams(caption, n):
    words = caption.split()
    return [" ".join(words[start : start + n]) for start in range(len(words) - n + 1)]


@given(st.lists(st.tuples(st.booleans(), st.lists(captions, max_size=5)), max_size=5))
@settings(deadline=None)
def test_equal_ngrams_are_equal_integers_and_others_are_not(calls):
    index = NgramIndex()
    learned: list[set[str]] = [set(), set(), set(), set()]
    for learn, texts in calls:
        told = (index.add if learn else index.entries)(texts)
        if learn:
            for n in range(4):
                learned[n] |= {gram for text in texts for gram in grams(text, n + 1)}
        names = index.texts()
        for n in range(1, 5):
            assert {name for number, name in names.items() if number % 4 == n - 1} == learned[n - 1]
            assert index.known(n) == len(learned[n - 1])
        assert max(names, default=-1) < index.size or not names
        got = [{} for _ in texts]
        for row, number, count in zip(told.caption, told.gram, told.count, strict=True):
            assert int(number) not in got[row]
            got[row][int(number)] = int(count)
        for text, own in zip(texts, got, strict=True):
            expected = Counter(gram for n in range(1, 5) for gram in grams(text, n))
            assert {names[number]: count for number, count in own.items() if number in names} == {
                gram: count for gram, count in expected.items() if gram in set().union(*learned)
            }
            for n in range(4):
                counts = [count for number, count in own.items() if number % 4 == n]
                assert sorted(counts) == sorted(count for gram, count in expected.items() if gram.count(" ") == n)
        for number in {number for own in got for number in own} - names.keys():  # one n-gram, whichever caption has it
            having = [text for text, own in zip(texts, got, strict=True) if number in own]
            assert set.intersection(*(set(grams(text, number % 4 + 1)) for text in having))


def test_a_copy_learns_for_itself():
    index = NgramIndex()
    index.add(["a b"])
    other = index.copy()
    other.add(["a b c d", "b a"])
    assert [index.known(n) for n in (1, 2, 4)] == [2, 1, 0]
    assert [other.known(n) for n in (1, 2, 4)] == [4, 4, 1]
    assert other.texts()[3] == "a b c d"
