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
    assert split.oracle([["w1 w2 w3", "w1 <unk> w3"], ["w8 w0 w0", "w1 w2 w9"]]) == found
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


def published(path, *, words=6, hidden=3, **changed):
    """Write weights by the authors' names, and return them."""
    rng = np.random.default_rng(1)
    shapes = {"embeddings": (words, hidden), "Wo": (hidden, words), "bo": (words,)}
    for gate in ("i", "f", "og", "c"):
        shapes |= {f"W{gate}": (hidden, hidden), f"U{gate}": (hidden, hidden), f"b{gate}": (hidden,)}
    weights = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()} | changed
    np.savez(path, **weights)
    return weights


def test_published_weights_are_read_by_the_authors_formulas(tmp_path):
    w = published(tmp_path / "oracle.npz")
    lstm = part("data/oracle", parameters=str(tmp_path / "oracle.npz"), words=6, hidden=3).lstm

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    tokens, total = [4, 0, 5, 2], 0.0
    hidden = cell = np.zeros(3)
    for previous, token in zip([0, *tokens], tokens, strict=False):  # the authors' start token is word 0
        x = w["embeddings"][previous]
        gate = {name: x @ w[f"W{name}"] + hidden @ w[f"U{name}"] + w[f"b{name}"] for name in ("i", "f", "og", "c")}
        cell = sigmoid(gate["f"]) * cell + sigmoid(gate["i"]) * np.tanh(gate["c"])
        hidden = sigmoid(gate["og"]) * np.tanh(cell)
        logits = hidden @ w["Wo"] + w["bo"]
        total += logits[token] - np.log(np.exp(logits).sum())
    assert lstm.log_probs(torch.tensor([tokens])).sum().item() == pytest.approx(total, abs=1e-5)


def test_published_weights_that_do_not_fit_are_refused(tmp_path):
    def read(**sizes):
        return part("data/oracle", parameters=str(tmp_path / "oracle.npz"), **{"words": 6, "hidden": 3, **sizes})

    published(tmp_path / "oracle.npz")
    with pytest.raises(UserError, match=r"embeddings has shape \(6, 3\), wanted is \(7, 3\); set data.words"):
        read(words=7)
    np.savez(tmp_path / "oracle.npz", embeddings=np.zeros((6, 3)))
    with pytest.raises(UserError, match="lacks Wo, bo, Wi"):
        read()
    published(tmp_path / "oracle.npz", bo=np.full(6, np.nan, dtype="float32"))
    with pytest.raises(UserError, match="NaN"):
        read()
    (tmp_path / "oracle.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match="cannot be read as an"):
        read()
