from __future__ import annotations

from collections import Counter

import pytest
import torch

from gan_caption.data.captions import EOS, PAD, UNK, captions_from_ids
from gan_caption.data.edits import edited


def rng():
    return torch.Generator().manual_seed(0)


def test_exactly_one_word_is_another_and_all_else_is_as_it_was():
    captions = captions_from_ids([[4, 5, 6, EOS], [7, EOS], [5, UNK, 4, 6]] * 50, [0] * 50 + [1] * 100)
    found, places = edited(captions, words=torch.tensor([4, 5, 6, 7]), rng=rng())
    different = found.tokens != captions.tokens
    assert different.sum(1).tolist() == [1] * 150
    assert different.nonzero()[:, 1].tolist() == places.tolist()
    assert (captions.tokens[different] > EOS).all()  # neither <eos>, nor <unk>, nor padding
    assert (found.tokens[different] > EOS).all()
    assert torch.equal(found.lengths, captions.lengths)
    assert torch.equal(found.images, captions.images)
    assert set(places[::3].tolist()) == {0, 1, 2}
    assert set(places[2::3].tolist()) == {0, 2, 3}


def test_words_are_drawn_by_their_frequency_without_the_one_that_stands_there():
    captions = captions_from_ids([[5, EOS]] * 6000, [0] * 6000)
    words = torch.tensor([6, 4, 5, 5, 5, 6, 6, 5, 4, 7])  # less the 5s: 4 twice, 6 three times, 7 once
    found, _ = edited(captions, words=words, rng=rng())
    counts = Counter(found.tokens[:, 0].tolist())
    assert set(counts) == {4, 6, 7}
    for word, share in ((4, 2 / 6), (6, 3 / 6), (7, 1 / 6)):
        assert counts[word] / 6000 == pytest.approx(share, abs=4 * (share * (1 - share) / 6000) ** 0.5)


def test_a_caption_without_a_word_is_left_out():
    captions = captions_from_ids([[EOS], [4, EOS], [UNK, EOS]], [0, 1, 2])
    found, places = edited(captions, words=torch.tensor([4, 9]), rng=rng())
    assert found.tokens.tolist() == [[9, EOS]]
    assert (found.images.tolist(), places.tolist()) == ([1], [0])
    assert PAD not in found.tokens


def test_there_must_be_another_word():
    with pytest.raises(ValueError, match="same word"):
        edited(captions_from_ids([[4, 4]], [0]), words=torch.tensor([4, 4, 4]), rng=rng())
