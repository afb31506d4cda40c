"""Values against pycocoevalcap, and against cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from gan_caption.errors import UserError
from gan_caption.metrics import (
    CiderD,
    DocumentFrequencies,
    bleu,
    cider,
    cider_d,
    div_n,
    mbleu,
    rouge_l,
    unique_share,
    verbatim_share,
    vocabulary_size,
)

captions = st.lists(st.sampled_from("abcd"), max_size=9).map(" ".join)
corpora = st.lists(st.tuples(captions, st.lists(captions, min_size=1, max_size=5)), min_size=2, max_size=6)


def as_dicts(candidates, references):
    return dict(enumerate(references)), {index: [candidate] for index, candidate in enumerate(candidates)}


@given(corpora)
@settings(deadline=None, max_examples=200)
def test_values_are_those_of_pycocoevalcap(corpus):
    candidates, references = [pair[0] for pair in corpus], [pair[1] for pair in corpus]
    assume(any(caption for own in references for caption in own))  # pycocoevalcap's CIDEr has no value without words
    told = as_dicts(candidates, references)

    expected, per_image = Bleu(4).compute_score(*told, verbose=0)
    assert bleu(candidates, references).corpus == pytest.approx(expected, abs=1e-6)
    assert bleu(candidates, references).per_image == pytest.approx(np.array(per_image).T, abs=1e-6)
    for ours, theirs in ((rouge_l, Rouge()), (cider_d, Cider())):
        expected, per_image = theirs.compute_score(*told)
        assert ours(candidates, references).corpus == pytest.approx(expected, abs=1e-6)
        assert ours(candidates, references).per_image == pytest.approx(per_image, abs=1e-6)


def test_cider_of_one_image_explains_itself():
    with pytest.raises(UserError, match="1 image\\(s\\) tell nothing: give at least two"):
        cider_d(["a"], [["a"]])


def test_cider_by_hand():
    # Two images; every word occurs with one image only: idf = log 2, and a caption like its reference scores 10 of 10
    # for each n of which it has an n-gram: n = 1 and 2 of 4.
    assert cider_d(["a b", "c d"], [["a b"], ["c d"]]).corpus == pytest.approx(5.0)


def test_a_cider_scorer_scores_any_captions_of_any_image_by_a_larger_corpus():
    references = [["a b c d e", "a b"], ["c d e f"], ["g h", "g"]]
    frequencies = DocumentFrequencies.of(references)
    few = CiderD(references[1:], frequencies=frequencies).score([1, 0, 0], ["g h", "c d", "a"])
    whole = cider_d(["a", "c d", "g h"], references).per_image
    assert few == pytest.approx([whole[2], whole[1], 0.0])


def test_a_scorer_explains_what_it_cannot_score():
    with pytest.raises(UserError, match="image 1 has no references"):
        CiderD([["a"], []])
    with pytest.raises(UserError, match="1 rows and 2 candidates"):
        CiderD([["a"], ["b"]]).score([0], ["a", "b"])
    with pytest.raises(UserError, match="1 image\\(s\\) tell nothing"):
        CiderD([["a"]])


def test_one_image_is_scored_by_the_frequencies_of_more():
    frequencies = DocumentFrequencies.of([["a b"], ["c d"]])
    assert CiderD([["a b"]], frequencies).score([0, 0], ["a b", "c d"]) == pytest.approx([5.0, 0.0])


def test_an_end_that_is_a_token_counts():
    scorer = CiderD([["a man on a horse <eos>"], ["a dog <eos>"]])
    ended, broken = scorer.score([0, 0], ["a man on a horse <eos>", "a man on a horse on a"])
    assert ended > broken


def test_div_by_hand():
    # Image 1: 2 distinct words of 4, 1 distinct bigram; image 2: 4 of 4 words, 2 bigrams.
    samples = [["a b", "a b"], ["a b", "c d"]]
    assert div_n(samples, 1).corpus == pytest.approx((2 / 4 + 4 / 4) / 2)
    assert div_n(samples, 2).corpus == pytest.approx((1 / 4 + 2 / 4) / 2)


def test_mbleu_never_takes_a_caption_as_its_own_reference():
    same, different = ["a b c d e"] * 3, ["a b c d e", "f g h i j", "k l m n o"]
    assert mbleu([same]).corpus == pytest.approx(1.0)
    assert mbleu([different]).corpus == pytest.approx(0.0, abs=1e-6)
    # Each of the three against the other two, by the reference tool.
    samples = ["a b c d e", "a b c d f", "a b c x y"]
    one_by_one = []
    for own in range(3):
        others = [caption for index, caption in enumerate(samples) if index != own]
        one_by_one.append(Bleu(4).compute_score({0: others}, {0: [samples[own]]}, verbose=0)[0][3])
    assert mbleu([samples]).corpus == pytest.approx(sum(one_by_one) / 3, abs=1e-9)


def test_shares_and_sizes():
    told = ["a b", "a b", "c", "d"]
    assert unique_share(told) == 0.75
    assert verbatim_share(told, {"a b", "e"}) == 0.5
    assert verbatim_share(told, ["c", "d"]) == 0.5
    assert vocabulary_size(told) == 4


@pytest.mark.parametrize(
    "call",
    [
        lambda: unique_share([]),
        lambda: verbatim_share([], {"a"}),
        lambda: vocabulary_size([]),
        lambda: div_n([], 1),
        lambda: div_n([["a"], []], 1),
        lambda: div_n([["a"]], 0),
    ],
)
def test_nothing_to_measure_is_explained(call):
    with pytest.raises(UserError, match="at least 1"):
        call()


@pytest.mark.parametrize("metric", [bleu, rouge_l, cider_d])
@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        ([], [], "no captions"),
        (["a"], [["a"], ["b"]], "1 candidates and references of 2"),
        (["a", "b"], [["a"], []], "image 1 has no references"),
    ],
)
def test_what_cannot_be_scored_is_explained(metric, candidates, references, message):
    with pytest.raises(UserError, match=message):
        metric(candidates, references)


@pytest.mark.parametrize("samples", [[["a"]], [["a", "b"], ["a"]], []])
def test_mbleu_needs_two_samples_and_equally_many(samples):
    with pytest.raises(UserError):
        mbleu(samples)


def test_an_empty_caption_scores_nothing():
    assert div_n([["", ""]], 1).corpus == 0
    assert not math.isnan(mbleu([["", ""]]).corpus)
    assert cider_d(["", "a"], [["a"], ["b"]]).per_image[0] == 0


@given(corpora, st.lists(st.integers(0, 3), min_size=6, max_size=6))
@settings(deadline=None)
def test_values_of_resampled_corpora_are_those_of_corpora_that_hold_images_so_often(corpus, times):
    times = [1, *times][: len(corpus)]
    again = [pair for pair, count in zip(corpus, times, strict=True) for _ in range(count)]
    weights = np.array([times, [1] * len(corpus)])
    for measure in (
        lambda pairs: bleu(*map(list, zip(*pairs, strict=True))).order(4),
        lambda pairs: rouge_l(*map(list, zip(*pairs, strict=True))),
        lambda pairs: mbleu([[candidate, own[0], "a b"] for candidate, own in pairs]),
    ):
        expected = [measure(again).corpus, measure(corpus).corpus]
        assert measure(corpus).resampled(weights) == pytest.approx(expected, abs=1e-6)


def measured(candidates, references):
    told = bleu(candidates, references)
    return np.stack([
        *told.per_image.T, rouge_l(candidates, references).per_image, cider_d(candidates, references).per_image,
        cider(candidates, references).per_image,
    ])  # fmt: skip


@given(corpora, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_images_and_of_references_never_matters(corpus, draw):
    candidates, references = [pair[0] for pair in corpus], [pair[1] for pair in corpus]
    order = list(range(len(corpus)))
    draw.shuffle(order)
    turned = [draw.sample(references[row], len(references[row])) for row in order]
    before, after = measured(candidates, references), measured([candidates[row] for row in order], turned)
    assert after == pytest.approx(before[:, order], abs=1e-9)


@given(st.lists(st.tuples(captions, captions.filter(bool)), min_size=2, max_size=6))
@settings(deadline=None)
def test_who_says_what_the_reference_says_gets_the_maximum(corpus):
    candidates, references = [pair[0] for pair in corpus], [[pair[1]] for pair in corpus]
    perfect = measured([own[0] for own in references], references)
    assert np.all(perfect >= measured(candidates, references) - 1e-9)
    for row, (own,) in enumerate(references):
        words = len(own.split())
        assert perfect[: min(words, 4), row] == pytest.approx(1, abs=1e-6)
        assert perfect[4, row] == pytest.approx(1)
        assert perfect[5:, row].max() <= 10 + 1e-9
