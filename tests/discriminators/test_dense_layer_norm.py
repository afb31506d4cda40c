"""ScratchGAN's discriminator: the layer-normalised LSTM against plain arithmetic, and what it is told of places."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.discriminators.dense_layer_norm import LayerNormDenseDiscriminator, position_signal
from gan_caption.discriminators.layer_norm_lstm import LayerNormLSTM
from gan_caption.discriminators.warm_start import take_from_generator
from tests import tiny


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def by_hand(lstm: LayerNormLSTM, inputs: np.ndarray, hidden: np.ndarray, cell: np.ndarray) -> list[np.ndarray]:
    """The outputs of one caption, from inputs (T, E) and a state (H,), in double precision."""
    from_inputs, from_state = array(lstm.from_inputs.weight), array(lstm.from_state.weight)
    gain, bias = array(lstm.normalise.weight), array(lstm.normalise.bias)
    outputs = []
    for own in inputs:
        sums = from_inputs @ own + from_state @ hidden
        gates = gain * (sums - sums.mean()) / np.sqrt(((sums - sums.mean()) ** 2).mean() + 1e-5) + bias
        inputs_gate, forget, new, output = np.split(gates, 4)
        cell = sigmoid(forget + 1) * cell + sigmoid(inputs_gate) * np.tanh(new)
        hidden = sigmoid(output) * np.tanh(cell)
        outputs.append(hidden)
    return outputs


def test_the_lstm_in_double_precision():
    torch.manual_seed(0)
    lstm = LayerNormLSTM(inputs=3, hidden=5)
    torch.nn.init.normal_(lstm.normalise.weight)
    torch.nn.init.normal_(lstm.normalise.bias)
    inputs, hidden, cell = torch.randn(2, 4, 3), torch.randn(2, 5), torch.randn(2, 5)
    found = lstm(inputs, (hidden, cell))
    assert found.shape == (2, 4, 5)
    for row in range(2):
        expected = by_hand(lstm, array(inputs[row]), array(hidden[row]), array(cell[row]))
        np.testing.assert_allclose(array(found[row]), expected, rtol=1e-5, atol=1e-6)


def test_its_normalisation_takes_the_sums_size_away():
    """Ten times the weights are the same network, where a plain LSTM's gates would be shut or open."""
    torch.manual_seed(0)
    lstm, inputs, start = LayerNormLSTM(inputs=3, hidden=5), torch.randn(2, 4, 3), (torch.zeros(2, 5),) * 2
    before = lstm(inputs, start)
    for linear in (lstm.from_inputs, lstm.from_state):
        linear.weight.data *= 10
    torch.testing.assert_close(lstm(inputs, start), before, rtol=1e-3, atol=1e-3)


def test_places_by_hand():
    """Half periods of 2, 4 and 8 words, phases of 0, 1 and 2 half periods."""
    expected = [
        [math.cos(math.pi * place / 2), -math.cos(math.pi * place / 4), math.cos(math.pi * place / 8)]
        for place in range(8)
    ]
    torch.testing.assert_close(position_signal(8, waves=3, longest=8), torch.tensor(expected))


@pytest.mark.parametrize("longest", [2, 20, 24])
def test_the_slowest_wave_goes_down_all_the_way(longest):
    signal = position_signal(longest, waves=8, longest=longest)
    assert (signal[1:, -1] < signal[:-1, -1]).all()
    assert torch.equal(signal[: longest // 2], position_signal(longest // 2, waves=8, longest=longest))


@torch.no_grad()
def test_it_knows_where_in_the_caption_a_word_stands():
    """Without memory, the same word gets other answers at other places, and only because it is told them."""
    torch.manual_seed(0)
    dense = tiny.discriminator(LayerNormDenseDiscriminator).eval()
    dense.lstm.from_state.weight.zero_()
    dense.lstm.normalise.bias.unflatten(0, (4, -1))[1] = -100.0  # the cell forgets everything
    captions = captions_from_ids([[4, 4, 4, 4]], [0])
    answers = dense(tiny.features(1), captions)[0]
    assert len(answers.unique()) == 4
    dense.inputs.weight[:, -8:] = 0
    torch.testing.assert_close(dense(tiny.features(1), captions)[0], dense(tiny.features(1), captions)[0, :1].expand(4))


@torch.no_grad()
def test_images_that_change_places_change_the_answers():
    torch.manual_seed(0)
    dense, images = tiny.discriminator(LayerNormDenseDiscriminator).eval(), tiny.features(2)
    captions = captions_from_ids([[4, 5, EOS], [4, 5, EOS]], [0, 1])
    answers = dense(images, captions)
    assert ((answers[0] - answers[1]).abs() > 1e-3).all()
    torch.testing.assert_close(dense(images.select(torch.tensor([1, 0])), captions), answers.flip(0))


def test_it_begins_with_the_generators_words():
    generator, dense = tiny.lstm(), tiny.discriminator(LayerNormDenseDiscriminator, embedding=4)
    take_from_generator(dense, generator)
    assert torch.equal(dense.words.weight, generator.words.weight)


@pytest.mark.parametrize(
    ("changes", "message"), [({"longest": 1}, "longest=1: at least 2"), ({"waves": 1}, "waves=1: at least 2")]
)
def test_sizes_that_make_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny.discriminator(LayerNormDenseDiscriminator, **changes)
