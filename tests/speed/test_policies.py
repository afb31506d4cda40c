"""What the speed of policies is measured against is right: the list of products, and the textbook's beam search."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from experiments.speed.policies.products import products_of, replay
from experiments.speed.policies.textbook import Textbook
from gan_caption.data.captions import EOS
from gan_caption.decoding.beam import beam_search
from gan_caption.kernels.products import Linear, linear
from tests import tiny


@pytest.mark.parametrize("rows", [3, 600])
def test_products_are_those_of_a_layer_and_its_gradients(rows):
    """3 rows are too few for oneDNN; of 600, and of their transposes, every product is worth it."""
    layer, inputs = Linear(64, 128), torch.randn(rows, 64, requires_grad=True)

    def step():
        layer(inputs).sum().backward()

    forward, to_inputs, to_weights = (1, rows, 64, 128), (1, rows, 128, 64), (1, 128, rows, 64)
    step()  # the first one tries what this build of PyTorch has
    found = products_of(step)
    if rows == 3:  # PyTorch makes the transposed product of the weights' gradient
        assert found in (Counter([forward, to_inputs, to_weights]), Counter([forward, to_inputs, (1, 64, rows, 128)]))
    else:
        full = 608  # filled up to a multiple of 32
        assert found == Counter([(1, full, 64, 128), (1, full, 128, 64), (1, 128, full, 64)])


def test_products_are_counted_as_often_as_they_are_made():
    one, weight = torch.randn(5, 7), torch.randn(11, 7)
    many, others = torch.randn(2, 3, 4), torch.randn(2, 4, 6)

    def step():
        with torch.no_grad():
            linear(one, weight)
            linear(one, weight)
            torch.bmm(many, others)

    found = products_of(step)
    assert found == Counter({(1, 5, 7, 11): 2, (2, 3, 4, 6): 1})
    assert products_of(replay(found)) == found


def test_attention_is_two_products_and_five_of_its_gradient():
    query, key, value = (torch.randn(2, 3, length, 4, requires_grad=True) for length in (5, 6, 6))
    found = products_of(lambda: torch.nn.functional.scaled_dot_product_attention(query, key, value).sum().backward())
    assert found.total() == 7
    assert sum(times * rows * inner * columns for (_, rows, inner, columns), times in found.items()) == 7 * 5 * 6 * 4
    assert {many for many, *_ in found} == {6}


def test_a_convolution_over_words_is_a_product_and_two_of_its_gradients():
    layer, words = torch.nn.Conv1d(3, 7, 2), torch.randn(4, 3, 6, requires_grad=True)
    found = products_of(lambda: layer(words).sum().backward())
    windows, filter_size = 4 * 5, 3 * 2
    assert found == Counter([(1, windows, filter_size, 7), (1, windows, 7, filter_size), (1, 7, windows, filter_size)])


@pytest.mark.parametrize("penalty", [0.0, 0.8])
def test_the_textbook_finds_what_beam_search_finds(penalty):
    torch.manual_seed(0)
    generator, images = tiny.transformer(hidden=8).eval(), tiny.features(6)
    with torch.no_grad():  # words that depend on the image, and captions of more than none
        generator.output.weight.mul_(6)
        generator.output.bias[0] -= 3
    ours = beam_search(generator, images, beam_size=3, max_length=6, length_penalty=penalty)
    words = [[token for token in row if token > EOS] for row in ours.tokens.tolist()]
    assert Textbook(generator).decode(images, beams=3, length=6, penalty=penalty) == words
    assert len({tuple(own) for own in words}) > 1
