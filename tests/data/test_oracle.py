from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from gan_caption.data.oracle import OracleLSTM
from gan_caption.encoders.none import NoImage
from gan_caption.errors import UserError
from tests.tiny_runs import part


def log_prob_by_hand(lstm: OracleLSTM, tokens: list[int]) -> float:
    """An LSTM in numpy, one word after the other (Yu et al. 2017, eq. 5 and 6 of the appendix)."""
    w = {name: value.numpy().astype(float) for name, value in lstm.state_dict().items()}
    size = w["words.weight"].shape[1]
    hidden, cell = np.zeros(size), np.zeros(size)
    previous, total = lstm.first, 0.0
    for token in tokens:
        gates = w["lstm.weight_ih_l0"] @ w["words.weight"][previous] + w["lstm.weight_hh_l0"] @ hidden
        enter, forget, new, leave = np.split(gates + w["lstm.bias_ih_l0"], 4)
        cell = cell / (1 + np.exp(-forget)) + np.tanh(new) / (1 + np.exp(-enter))
        hidden = np.tanh(cell) / (1 + np.exp(-leave))
        logits = w["output.weight"] @ hidden + w["output.bias"]
        total += logits[token] - np.log(np.exp(logits).sum())
        previous = token
    return total


def test_log_probs_are_those_of_the_equations():
    lstm = OracleLSTM(words=7, hidden=5, seed=3)
    tokens = [[0, 6, 2, 2], [5, 1, 1, 3]]
    expected = [log_prob_by_hand(lstm, row) for row in tokens]
    assert lstm.log_probs(torch.tensor(tokens)).sum(1).tolist() == pytest.approx(expected, abs=1e-4)


def test_sequences_are_drawn_with_their_probabilities():
    lstm = OracleLSTM(words=3, hidden=4, seed=0)
    drawn = lstm.draw(20000, 2, torch.Generator().manual_seed(0)).tolist()
    for tokens in itertools.product(range(3), repeat=2):
        p = math.exp(log_prob_by_hand(lstm, list(tokens)))
        error = (p * (1 - p) / len(drawn)) ** 0.5
        assert abs(drawn.count(list(tokens)) / len(drawn) - p) < 4.5 * error


def test_the_score_of_a_split():
    split = part("data/oracle", words=9, length=3, hidden=4, train=5, val=2, test=3).split("val")
    told = [["w1 w2 w3", "w0 w0"], ["w8 w0 w0", "w4 w4 w4 w4"]]
    found = split.oracle(told)
    by_hand = -(log_prob_by_hand(split.lstm, [1, 2, 3]) + log_prob_by_hand(split.lstm, [8, 0, 0])) / 6
    assert found == {"nll_per_token": pytest.approx(by_hand, abs=1e-4), "outside": 0.5}
    assert math.isnan(split.oracle([["w1"], [""]])["nll_per_token"])


def test_splits_are_reproducible_and_differ():
    def first(**settings):
        return [
            part("data/oracle", words=50, length=4, hidden=4, train=4, val=4, test=4, **settings)
            .split(name)
            .items[0]
            .captions
            for name in ("train", "val", "test")
        ]

    assert first() == first()
    assert len(set(first())) == 3
    assert first(seed=1) != first()
    with pytest.raises(UserError, match="split=dev is not known: the oracle has train, val, test"):
        part("data/oracle", words=50, length=4, train=1, val=1, test=1).split("dev")


def test_nothing_is_seen(tmp_path):
    split = part("data/oracle", words=9, length=3, hidden=4, train=5, val=2, test=3).split("train")
    encoder = NoImage()
    source = encoder.source(
        split, cache=tmp_path, skip_unreadable=False, device=torch.device("cpu"), progress=lambda done, total: None
    )
    features = source.features([0, 3], grid=True, device=torch.device("cpu"))
    assert features.pooled.tolist() == [[0.0], [0.0]]
    assert features.grid.shape == (2, encoder.regions, encoder.grid_size)
    assert len(source.split) == 5
