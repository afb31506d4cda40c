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
        for n, entries in enumerate(told):
            size = index.size(n + 1)
            assert set(names[n]) == learned[n]
            assert len(names[n]) == size
            meant: dict[int, str] = {}
            got = [Counter() for _ in texts]
            for row, gram, count in zip(entries.caption, entries.gram, entries.count, strict=True):
                got[row][int(gram)] = int(count)
            for text, own in zip(texts, got, strict=True):
                expected = Counter(grams(text, n + 1))
                assert sorted(expected.values()) == sorted(own.values())
                for gram, count in expected.items():
                    if gram in learned[n]:
                        assert own[names[n].index(gram)] == count
                unknown = {number: count for number, count in own.items() if number >= size}
                assert len(unknown) == len([gram for gram in expected if gram not in learned[n]])
            for text, own in zip(texts, got, strict=True):  # one integer, one n-gram, whichever caption has it
                for number in own:
                    if number >= size:
                        having = {t for t, other in zip(texts, got, strict=True) if number in other}
                        meant[number] = " "
                        common = set.intersection(*(set(grams(t, n + 1)) for t in having))
                        assert common - learned[n], text


def test_a_copy_learns_for_itself():
    index = NgramIndex()
    index.add(["a b"])
    other = index.copy()
    other.add(["a b c d", "b a"])
    assert (index.size(1), index.size(2), index.size(4)) == (2, 1, 0)
    assert (other.size(1), other.size(2), other.size(4)) == (4, 4, 1)
    assert other.texts()[3] == ["a b c d"]
