"""Self-CIDEr, Self-BLEU and the corpus measures: against cases worked by hand and slow ways to the same value."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu

from gan_caption.errors import UserError
from gan_caption.metrics import (
    CiderD,
    DocumentFrequencies,
    cider,
    cider_d,
    distinct_n,
    div_n,
    length_distance,
    mbleu,
    self_bleu,
    self_cider,
    unique_share,
)

captions = st.lists(st.sampled_from("abcd"), max_size=7).map(" ".join)
samples = st.lists(st.lists(captions, min_size=3, max_size=3), min_size=1, max_size=5)
# Each of these words is in the references of one image of four: every n-gram weighs the same, log 4.
EVEN = DocumentFrequencies.of([["a b c"], ["d e f"], ["g h"], ["i"]])


def test_the_original_cider_is_a_plain_cosine():
    # Unigrams: 1 of 2 in common, cosine 1/2; bigrams: none in common; longer: there are none. Mean over four: 1/8.
    assert cider(["a c", "d"], [["a b"], ["e"]]).per_image == pytest.approx([10 / 8, 0])


def test_the_original_cider_neither_clips_nor_minds_the_length_and_cider_d_does():
    references = [["a b"], ["c d"]]
    shouted = ["a b " * 10, "c d"]
    # Unigrams: the same direction, 1. Bigrams: (10 of "a b", 9 of "b a") against "a b": 10 / sqrt(181).
    assert cider(shouted, references).per_image[0] == pytest.approx(10 * (1 + 10 / math.sqrt(181)) / 4)
    assert cider_d(shouted, references).per_image[0] < 0.1


def test_self_cider_by_hand():
    # Kernel [[1/2, 1/8], [1/8, 1/2]]: eigenvalues 5/8 and 3/8.
    expected = -math.log(math.sqrt(5) / (math.sqrt(5) + math.sqrt(3))) / math.log(2)
    assert self_cider([["a b", "a c"]], EVEN).corpus == pytest.approx(expected)


def test_self_cider_goes_from_nothing_new_to_nothing_in_common():
    told = self_cider([["a b c", "a b c", "a b c"], ["a b c", "d e f", "g h i"], ["", "", ""]], EVEN)
    assert told.per_image == pytest.approx([0, 1, 0], abs=1e-6)
    assert told.corpus == pytest.approx(1 / 3)


@given(samples)
@settings(deadline=None)
def test_self_cider_is_that_of_the_singular_values_of_the_tf_idf_matrix(samples):
    # The definition before the kernel: columns of n-gram counts times rarity, scaled to length 1 for each n.
    words = sorted({word for own in samples for caption in own for word in caption.split()})
    corpus = [words or ["a"], ["x y"], ["z"]]  # single words, but for "x y"
    frequencies = DocumentFrequencies.of(corpus)
    for own, value in zip(samples, self_cider(samples, frequencies).per_image, strict=True):
        blocks = []
        for n in range(1, 5):
            grams = [[tuple(c.split()[i : i + n]) for i in range(len(c.split()) - n + 1)] for c in own]
            known = sorted({gram for one in grams for gram in one})
            counts = np.array([[one.count(g) for g in known] for one in grams], dtype=float).reshape(len(own), -1)
            having = [
                sum(" ".join(g) in own or (set(g) <= {"x", "y"} and own == ["x y"]) for own in corpus) for g in known
            ]
            weights = counts * [math.log(3 / max(1, times)) for times in having]
            norms = np.linalg.norm(weights, axis=1, keepdims=True)
            blocks.append(weights / np.where(norms > 0, norms, 1) / 2)
        singular = np.linalg.svd(np.concatenate(blocks, axis=1), compute_uv=False)
        singular = np.pad(singular, (0, len(own) - len(singular)))
        expected = -math.log(singular[0] / singular.sum()) / math.log(len(own)) if singular.sum() else 0
        assert value == pytest.approx(expected, abs=1e-5)


@given(st.lists(captions, min_size=2, max_size=8))
@settings(deadline=None, max_examples=50)
def test_self_bleu_holds_each_caption_against_all_others(texts):
    expected = []
    for index, text in enumerate(texts):
        others = texts[:index] + texts[index + 1 :]
        orders = min(4, len(text.split()))  # of fewer than four words the n-grams that there are
        if orders:
            expected.append(Bleu(orders).compute_score({0: others}, {0: [text]}, verbose=0)[0][-1])
        else:
            expected.append(float("" in others))
    told = self_bleu(texts)
    assert told.value == pytest.approx(np.mean(expected), abs=1e-6)
    assert told.references == len(texts) - 1


def test_self_bleu_says_against_how_many_and_chooses_by_its_seed():
    texts = [f"a dog number {i} runs over the {i % 7} th hill" for i in range(50)]
    assert self_bleu(texts, count=20).references == 19
    assert self_bleu(texts, count=20, seed=1) == self_bleu(texts, count=20, seed=1)
    assert self_bleu(texts, count=20, seed=1).value != self_bleu(texts, count=20, seed=2).value
    with pytest.raises(UserError, match="at least 2"):
        self_bleu(["a"])


def test_distinct_n_and_length_distance_by_hand():
    assert distinct_n(["a b", "a c"], 1) == pytest.approx(3 / 4)
    assert distinct_n(["a b", "a b"], 2) == pytest.approx(1 / 4)
    # Lengths 1, 1, 2 against 1, 2, 2, 3: |2/3 - 1/4| + |1/3 - 2/4| + 1/4, halved.
    assert length_distance(["a", "b", "a b"], [["a", "a b"], ["b b", "a b c"]]) == pytest.approx(5 / 12)


@given(samples, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_images_and_of_samples_never_matters(samples, draw):
    turned = draw.sample(samples, len(samples))
    assert mbleu(turned).corpus == pytest.approx(mbleu(samples).corpus, abs=1e-6)  # firsts, seconds ...
    turned = [draw.sample(own, len(own)) for own in turned]
    for measure in (
        lambda s: div_n(s, 1).corpus,
        lambda s: div_n(s, 2).corpus,
        lambda s: self_cider(s, EVEN).corpus,
        lambda s: self_bleu([c for own in s for c in own]).value,
        lambda s: distinct_n([c for own in s for c in own], 2),
    ):
        assert measure(turned) == pytest.approx(measure(samples), abs=1e-6)


@given(samples)
@settings(deadline=None)
def test_saying_everything_twice_never_raises_diversity(samples):
    twice = [own * 2 for own in samples]
    flat, flat_twice = ([caption for own in said for caption in own] for said in (samples, twice))
    for measure in (lambda s: div_n(s, 1).corpus, lambda s: div_n(s, 2).corpus, lambda s: self_cider(s, EVEN).corpus):
        assert measure(twice) <= measure(samples) + 1e-6
    assert mbleu(twice).corpus >= mbleu(samples).corpus - 1e-6
    assert unique_share(flat_twice) <= unique_share(flat)
    assert distinct_n(flat_twice, 1) <= distinct_n(flat, 1)
    assert self_bleu(flat_twice).value >= self_bleu(flat).value - 1e-6


def test_document_frequencies_come_back_from_a_file(tmp_path):
    references = [["a dog runs to a tall man", "a cat"], ["a cat", "a dog runs to the sea"], ["the sea", ""]]
    frequencies = DocumentFrequencies.of(references)
    frequencies.save(tmp_path / "df.json")
    told = json.loads((tmp_path / "df.json").read_text())
    assert told["images"] == 3
    expected = {"a": 2, "the": 2, "a dog": 2, "dog runs to": 2, "a dog runs to": 2, "a sea": None}
    assert {gram: told["counts"].get(gram) for gram in expected} == expected
    back = DocumentFrequencies.load(tmp_path / "df.json")
    candidates = ["a dog runs to the sea", "a cat runs", "man the sea"]
    once, again = (CiderD(references, own).score([0, 1, 2], candidates) for own in (frequencies, back))
    assert once == pytest.approx(again, abs=1e-12)
    assert CiderD(references).score([0, 1, 2], candidates) == pytest.approx(once, abs=1e-12)
    assert [path.name for path in tmp_path.iterdir()] == ["df.json"]


def test_document_frequencies_of_another_vocabulary_or_of_no_file_explain_themselves(tmp_path):
    frequencies = DocumentFrequencies.of([["4 17 9"], ["4 12"]])
    with pytest.raises(UserError, match="know 0 of the references' 2 words"):
        CiderD([["a dog"]], frequencies)
    with pytest.raises(UserError, match="no document frequencies here"):
        DocumentFrequencies.load(tmp_path / "none.json")
    (tmp_path / "other.json").write_text("[1, 2]")
    with pytest.raises(UserError, match="no document frequencies here"):
        DocumentFrequencies.load(tmp_path / "other.json")
