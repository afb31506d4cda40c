"""The n-gram model behind LM and reverse-LM scores, by hand and on systems whose order is known."""

from __future__ import annotations

import math
import random

import pytest

from gan_caption.errors import UserError
from gan_caption.metrics.language_model import NgramModel, lm_scores


def test_witten_bell_by_hand():
    model = NgramModel(["a b", "a c"], words=["a", "b", "c", "d"], order=2)
    # Unigrams, each word of the vocabulary, the end and the unknown word counted once more:
    # a 3, b 2, c 2, d 1, end 3, unknown 1, of 12.
    a, b, end, unknown = 3 / 12, 2 / 12, 3 / 12, 1 / 12
    begin_a = (2 + 1 * a) / (2 + 1)  # two captions, one way to begin
    a_b = (1 + 2 * b) / (2 + 2)
    b_end = (1 + 1 * end) / (1 + 1)
    assert model.nll_per_token(["a b"]) == pytest.approx(-math.log(begin_a * a_b * b_end) / 3)
    a_unknown = 2 * unknown / (2 + 2)
    assert model.nll_per_token(["a zebra"]) == pytest.approx(-math.log(begin_a * a_unknown * end) / 3)
    assert model.nll_per_token(["a b", "a zebra"]) == pytest.approx(
        -(math.log(begin_a * a_b * b_end) + math.log(begin_a * a_unknown * end)) / 6
    )


def test_both_ways_by_hand():
    """One model reads what the other was made of: people write "a b" alone, a captioner "b" and "b b"."""
    words = ["a", "b"]
    told = lm_scores(["b", "b b"], ["a b"], human=NgramModel(["a b"], words=words, order=2), words=words)
    # Under people's: unigrams a 2, b 2, end 2, unknown 1, of 7. After the beginning comes "a" alone, after "b" the end.
    b, end = 2 / 7, 2 / 7
    begin_b = (0 + 1 * b) / (1 + 1)
    b_b, b_end = (0 + 1 * b) / (1 + 1), (1 + 1 * end) / (1 + 1)
    assert told["lm_nll"] == pytest.approx(-math.log(begin_b * b_end * begin_b * b_b * b_end) / 5)
    # Under the captioner's: a 1, b 4, end 3, unknown 1, of 9. "b" goes on to "b" once, ends twice; "a" was never met.
    a, b, end = 1 / 9, 4 / 9, 3 / 9
    begin_a, b_end = (0 + 1 * a) / (2 + 1), (2 + 2 * end) / (3 + 2)
    assert told["reverse_lm_nll"] == pytest.approx(-math.log(begin_a * b * b_end) / 3)


def test_the_next_words_probabilities_sum_to_one():
    model = NgramModel(["a b a", "b a", "a"], words=["a", "b", "c"], order=3)
    for context in (("<s>", "<s>"), ("<s>", "a"), ("b", "a"), ("c", "c")):
        words = ["a", "b", "c", "</s>", "<UNK>"]
        assert sum(math.exp(model._log_probability(word, context)) for word in words) == pytest.approx(1)


def sentences(count, seed):
    draw = random.Random(seed)
    return [
        f"a {draw.choice(['red', 'blue', 'tall'])} {draw.choice(['dog', 'cat', 'man'])} "
        f"{draw.choice(['sits', 'runs'])} on {draw.choice(['the', 'a'])} {draw.choice(['road', 'hill', 'roof'])}"
        for _ in range(count)
    ]


def test_quality_and_coverage_put_systems_in_their_known_order():
    human, unseen = sentences(300, 0), sentences(100, 1)
    words = {word for text in human for word in text.split()}
    draw = random.Random(2)
    good = sentences(100, 3)
    shuffled = [" ".join(draw.sample(text.split(), len(text.split()))) for text in good]
    noise = [" ".join(draw.choices(sorted(words), k=7)) for _ in range(100)]
    collapsed = good[:1] * 100
    model = NgramModel(human, words=words)
    quality = [model.nll_per_token(texts) for texts in (good, shuffled, noise)]
    assert quality[0] < min(quality[1:])
    assert model.nll_per_token(collapsed) < model.nll_per_token(shuffled)  # quality alone does not see a collapse
    coverage = [NgramModel(texts, words=words).nll_per_token(unseen) for texts in (good, collapsed, shuffled)]
    assert coverage[0] < min(coverage[1:])  # the reverse score does


def test_no_captions_are_refused():
    with pytest.raises(UserError, match="at least 1 caption"):
        NgramModel([], words=["a"])
