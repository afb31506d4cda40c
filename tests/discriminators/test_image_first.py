"""Discriminators that read the image as the first word: Chen et al. 2019."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.discriminators.cnn_image_first import ImageFirstCNNDiscriminator
from gan_caption.discriminators.lstm_image_first import ImageFirstLSTMDiscriminator
from gan_caption.discriminators.warm_start import take_from_generator
from gan_caption.objectives.discriminator import BinaryCrossEntropy
from tests import tiny


def filled(parameter: torch.Tensor, values: object) -> None:
    parameter.data.copy_(torch.tensor(values).view_as(parameter))


@torch.no_grad()
@pytest.mark.parametrize(
    ("image", "expected"),
    [
        # Columns 3, 1, -2, .5 and a zero. Width 1: max(3, 1, .5) = 3. Width 2: max(3 + 2 - 1, ...) = 4.
        (3.0, 10 * 3 + 4 + 0.25),
        # Columns 0, 1, -2, .5 and a zero. Width 1: 1. Width 2: max(0 + 2 - 1, ...) = 1.
        (0.0, 10 * 1 + 1 + 0.25),
        # Columns -1, 1, -2, .5 and a zero. Width 1: 1. Width 2: all of -1 + 2 - 1, 1 - 4 - 1, ... are at most 0.
        (-1.0, 10 * 1 + 0 + 0.25),
    ],
)
def test_the_cnn_by_hand(image, expected):
    cnn = ImageFirstCNNDiscriminator(
        vocabulary_size=6, pooled_size=5, embedding=1, filters=1, widths=[1, 2], dropout=0.0, instance_noise=0.0
    ).eval()
    filled(cnn.image.project.weight, [0.0] * 5)
    filled(cnn.image.project.bias, [image])
    filled(cnn.words.weight, [0.0, 0.0, 0.0, 0.5, 1.0, -2.0])  # EOS is .5, the words 4 and 5 are 1 and -2
    narrow, wide = cnn.reader.convolutions
    filled(narrow.weight, [1.0])
    filled(narrow.bias, [0.0])
    filled(wide.weight, [1.0, 2.0])
    filled(wide.bias, [-1.0])
    cnn.reader.carry.weight.zero_()
    cnn.reader.carry.bias.fill_(-100.0)  # the highway lets everything pass
    filled(cnn.answer.weight, [10.0, 1.0])
    filled(cnn.answer.bias, [0.25])
    captions = captions_from_ids([[4, 5, EOS]], [0])
    for answer in (cnn(tiny.features(1), captions), cnn.fast_score(tiny.features(1), captions)):
        assert answer.tolist() == pytest.approx([expected])


@torch.no_grad()
def test_the_lstm_reads_the_image_and_then_the_words():
    torch.manual_seed(0)
    lstm, images = tiny.discriminator(ImageFirstLSTMDiscriminator).eval(), tiny.features(2)
    for image in (0, 1):
        captions = tiny.captions_of(image)
        found = (lstm(images, captions), lstm.fast_score(images, captions))
        for row, text in enumerate(tiny.all_captions()):
            read = torch.cat([lstm.image(images)[image : image + 1], lstm.words(torch.tensor(text))])
            _, (last, _) = lstm.lstm(read[None])
            for answers in found:
                torch.testing.assert_close(answers[row], lstm.answer(last[0, 0])[0])


@torch.no_grad()
@pytest.mark.parametrize("kind", [ImageFirstCNNDiscriminator, ImageFirstLSTMDiscriminator])
def test_images_that_change_places_change_the_answers(kind):
    torch.manual_seed(0)
    discriminator, images = tiny.discriminator(kind).eval(), tiny.features(2)
    captions = captions_from_ids([[4, 5, EOS], [4, 5, EOS]], [0, 1])
    for judge in (discriminator, discriminator.fast_score):
        answers = judge(images, captions)
        assert (answers[0] - answers[1]).abs() > 1e-3
        torch.testing.assert_close(judge(images.select(torch.tensor([1, 0])), captions), answers.flip(0))


@pytest.mark.parametrize("kind", [ImageFirstCNNDiscriminator, ImageFirstLSTMDiscriminator])
def test_an_l2_term_holds_on_their_last_layer(kind):
    discriminator, real = tiny.discriminator(kind, dropout=0.0), captions_from_ids([[4, EOS], [5, EOS]], [0, 1])
    plain = BinaryCrossEntropy(real=1.0, generated=1.0, mismatched=0.0, edited=0.0, label_smoothing=0.0, output_l2=0.0)
    terms = [
        loss(discriminator, tiny.features(), real=real, generated=real, rng=torch.Generator()).loss.item()
        for loss in (plain, replace(plain, output_l2=4.0))
    ]
    last = discriminator.answer.weight.square().sum() + discriminator.answer.bias.square().sum()
    assert terms[1] - terms[0] == pytest.approx(2 * last.item(), rel=1e-4)


def test_they_begin_with_what_the_generator_knows():
    generator = tiny.lstm()
    lstm = tiny.discriminator(ImageFirstLSTMDiscriminator, embedding=4, hidden=4)
    take_from_generator(lstm, generator)
    assert torch.equal(lstm.words.weight, generator.words.weight)
    assert torch.equal(lstm.lstm.weight_hh_l0, generator.lstm.weight_hh_l0)
    cnn = tiny.discriminator(ImageFirstCNNDiscriminator, embedding=4)
    take_from_generator(cnn, generator)
    assert torch.equal(cnn.words.weight, generator.words.weight)
