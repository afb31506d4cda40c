"""What the study of the peer gives it to read."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from experiments.speed.peer.theirs import ending, ids, labelled, never, open_checkout, write_frequencies
from gan_caption.data.captions import EOS, UNK, captions_from_ids

A, B = EOS + 1, EOS + 2


def test_labels_follow_a_zero_and_count_up_to_the_end():
    captions = captions_from_ids([[A, B, EOS], [B, EOS], [A, A, A], [UNK, EOS]], [0, 0, 1, 1])
    labels, masks = labelled(captions, images=2)
    assert labels.tolist() == [[[0, 1, 2, 0], [0, 2, 0, 0]], [[0, 1, 1, 1], [0, 1, 0, 0]]]
    assert masks.tolist() == [[[1, 1, 1, 1], [1, 1, 1, 0]], [[1, 1, 1, 1], [1, 1, 1, 0]]]


def test_the_words_count_from_one_after_the_end():
    assert ids(torch.tensor([[A, B, EOS, 0]])).tolist() == [[1, 2, 0, 0]]


def test_an_ngram_counts_once_for_each_image_that_has_it(tmp_path):
    first, second = np.array([[1, 2, 0, 0], [1, 0, 0, 0]]), np.array([[1, 1, 2, 0]])
    write_frequencies([first, second], tmp_path / "told.p")
    told = pickle.loads((tmp_path / "told.p").read_bytes())
    found = told["document_frequency"]
    assert told["ref_len"] == 2
    assert (found["1",], found["1", "2"], found["1", "0"], found["1", "1"], found["2", "1"]) == (2, 2, 1, 1, 0)
    assert found["1", "2", "0"] == 2
    assert found["1", "1", "2", "0"] == 1


def test_a_word_that_is_never_chosen_has_no_mass():
    layer = torch.nn.Linear(3, 4)
    never(layer, 2)
    assert layer(torch.randn(5, 3)).softmax(1)[:, 2].tolist() == [0] * 5


def test_a_caption_ends_at_the_word_that_is_its_last():
    layer = torch.nn.Linear(3, 4)
    never(layer, 0)
    with ending(layer, at=2):
        chosen = [layer(torch.randn(5, 3)).argmax(1) == 0 for _ in range(3)]
    assert [own.all().item() for own in chosen] == [False, True, False]
    with ending(layer, at=2):
        assert (layer(torch.randn(5, 3)).argmax(1) > 0).all(), "it counts anew"


def test_a_folder_without_the_peer_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="there is no captioning/models/__init__"):
        open_checkout(tmp_path, frequencies=tmp_path / "told.p")
