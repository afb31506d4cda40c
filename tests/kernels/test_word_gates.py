from __future__ import annotations

import pytest
import torch
from torch import nn

from gan_caption.kernels import plain
from gan_caption.kernels.word_gates import KnownWords, word_gates


def world():
    torch.manual_seed(0)
    return nn.LSTM(5, 3, batch_first=True), nn.Embedding(20, 5), nn.Dropout(0.5).eval()


def truth(lstm, words, tokens):
    """By the weights themselves."""
    return words.weight[tokens] @ lstm.weight_ih_l0.T + lstm.bias_ih_l0 + lstm.bias_hh_l0


@pytest.mark.parametrize("gradients", [True, False])
def test_looked_up_or_multiplied_it_is_the_same(gradients):
    lstm, words, dropout = world()
    known = KnownWords(steps=10)
    tokens = torch.randint(20, (7,))
    with torch.set_grad_enabled(gradients):
        for _ in range(2):
            found = word_gates(lstm, words, tokens, dropout=dropout, known=known)
            torch.testing.assert_close(found, truth(lstm, words, tokens))
            with plain():
                torch.testing.assert_close(word_gates(lstm, words, tokens, dropout=dropout, known=known), found)
    assert found.requires_grad == gradients


def multiplications(lstm, words, dropout, known, reads):
    """Count the rows that are multiplied by the weights, in all these steps."""
    counted = []
    hook = words.register_forward_hook(lambda _, inputs, __: counted.append(len(inputs[0])))
    with torch.no_grad():
        for rows in reads:
            word_gates(lstm, words, torch.randint(20, (rows,)), dropout=dropout, known=known)
    hook.remove()
    return sum(counted)


def test_the_table_is_made_once_it_pays():
    assert multiplications(*world(), KnownWords(steps=10), [5]) == 0  # 50 rows are likely, more than twice 20 words
    assert multiplications(*world(), KnownWords(steps=2), [5, 5, 5, 5, 5]) == 5 * 5  # 5 to 25 were read, and 10 to come
    assert multiplications(*world(), KnownWords(steps=2), [5] * 9) == 5 * 7
    assert multiplications(*world(), KnownWords(steps=2), [3] * 90) == 270  # so few rows cost nothing
    assert multiplications(*world(), None, [50] * 5) == 250


def test_dropout_looks_at_words_anew():
    lstm, words, dropout = world()
    known = KnownWords(steps=100)
    tokens = torch.zeros(9, dtype=torch.long)
    with torch.no_grad():
        found = word_gates(lstm, words, tokens, dropout=dropout.train(), known=known)
    assert len(found.unique(dim=0)) > 1


def test_weights_over_words_pass_gradients():
    lstm, words, dropout = world()
    weights = torch.rand(4, 20).softmax(1).requires_grad_()
    found = word_gates(lstm, words, weights, dropout=dropout, known=KnownWords(steps=100))
    wanted = weights @ truth(lstm, words, torch.arange(20))  # the weights sum to one
    torch.testing.assert_close(found, wanted)
    (slope,) = torch.autograd.grad(found.sum(), weights)
    assert slope.abs().sum() > 0
