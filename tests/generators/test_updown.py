"""UpDown against a textbook: LSTM cells over concatenated inputs, one region of one caption at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from gan_caption.data.captions import BOS, EOS, captions_from_ids
from gan_caption.kernels import plain
from tests import tiny


def cell(lstm: nn.LSTM, *inputs: torch.Tensor) -> nn.LSTMCell:
    """An LSTM cell with these weights of its input, side by side."""
    from_input = torch.cat(inputs, dim=1)
    made = nn.LSTMCell(from_input.shape[1], lstm.hidden_size)
    made.weight_ih.data = from_input
    made.weight_hh.data, made.bias_ih.data, made.bias_hh.data = (part.data for part in lstm.all_weights[0][1:])
    return made


@torch.no_grad()
def textbook(generator, features, text, image):
    """Logits of each token of a caption, and where the attention looks: the paper's equations as they stand."""
    count = features.grid.shape[1] if features.regions is None else int(features.regions[image])
    regions = [generator.normalise(region) for region in features.grid[image, :count]]
    pooled = generator.image.normalise(features.pooled[image])[None]
    attending = generator.attention
    image_weight, asking = generator.image.project, generator.asking
    first = cell(asking, generator.feedback.weight, image_weight.weight, asking.weight_ih_l0)
    first.bias_ih.data = first.bias_ih + image_weight.bias
    second = cell(generator.writing, generator.writing.weight_ih_l0)
    hidden, kept, written, kept2 = (torch.zeros(1, asking.hidden_size) for _ in range(4))
    logits, maps = [], []
    for token in [BOS, *text[:-1]]:
        word = generator.words.weight[token][None]
        hidden, kept = first(torch.cat([written, pooled, word], dim=1), (hidden, kept))
        scores = [
            attending.score.weight[0] @ torch.tanh(attending.keys.weight @ region + attending.query.weight @ hidden[0])
            for region in regions
        ]
        weights = torch.stack(scores).softmax(0)
        seen = sum(weight * region for weight, region in zip(weights, regions, strict=True))
        written, kept2 = second(torch.cat([seen[None], hidden], dim=1), (written, kept2))
        logits.append(generator.output(written)[0])
        maps.append(weights)
    return torch.stack(logits), torch.stack(maps)


TEXTS = [[4, 5, 4, EOS], [EOS], [5, EOS], [5, 5, 5, 4, EOS]]


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("regions", [None, [4, 2, 3]])
def test_it_is_the_paper(regions, kernels):
    generator = tiny.generators()[3]
    features = replace(tiny.features(3), regions=None if regions is None else torch.tensor(regions))
    captions = captions_from_ids(TEXTS, [0, 0, 1, 2])
    if kernels:
        logits, maps = generator.logits(features, captions), generator.attention_weights(features, captions)
    else:
        with plain():
            logits, maps = generator.logits(features, captions), generator.attention_weights(features, captions)
    wanted = [
        textbook(generator, features, text, image) for text, image in zip(TEXTS, captions.images.tolist(), strict=True)
    ]
    torch.testing.assert_close(logits, torch.cat([own for own, _ in wanted]))
    for row, (_, own) in enumerate(wanted):
        torch.testing.assert_close(maps[row, : len(own), : own.shape[1]], own)
        assert (maps[row, : len(own), own.shape[1] :] == 0).all()
        assert (maps[row, len(own) :] == 0).all()


def test_what_a_step_asks_of_all_regions_is_memory_of_its_row():
    generator = tiny.updown(hidden=4, attention=9)
    state = generator.start(tiny.features(), 3)
    # Two hidden states and cells; four regions, compared in nine numbers: their keys, and what is made of them.
    assert state.row_bytes == 4 * (4 * 4 + 2 * 4 * 9)
