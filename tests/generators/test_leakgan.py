"""LeakGAN's generator: the features that it copied from D, and how goals steer words."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gan_caption.data.captions import BOS, EOS, captions_from_ids
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.discriminators.spectral import spectrally_normalised
from gan_caption.errors import UserError
from gan_caption.kernels import plain
from gan_caption.testing import check_generator
from tests import tiny


@pytest.fixture
def discriminator():
    torch.manual_seed(1)
    return tiny.discriminator(CNNDiscriminator, instance_noise=0.5)


def sentence_vectors(discriminator, captions):
    """What D compares with the image: the input of the layer that judges the sentence by itself."""
    kept = []
    hook = discriminator.critic.fluency.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    with torch.no_grad():
        discriminator.eval()(tiny.features(), captions)
    hook.remove()
    return kept[0]


@pytest.mark.parametrize(
    "settings",
    [{}, {"horizon": 1}, {"horizon": 9, "leaked_widths": [1]}, {"leaked_widths": [4, 2], "noise_size": 3},
     {"leaked_filters": [3, 5, 2, 4, 3]}, {"generate_unknown": True, "dropout": 0.5, "vocabulary_size": 9}],
)  # fmt: skip
def test_it_keeps_the_contract(settings):
    torch.manual_seed(0)
    check_generator(tiny.leakgan(**settings), tiny.features(3))


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_leaked_features_are_what_d_makes_of_every_prefix(discriminator, wrapped):
    if wrapped:
        discriminator = spectrally_normalised(discriminator=discriminator)
    leak = tiny.leakgan().leak
    leak.follow(discriminator)
    texts = [text for text in tiny.all_captions(6) if len(text) == 6 or text[-1] == EOS]
    captions = captions_from_ids(texts, [0] * len(texts))
    found = leak.of_prefixes(captions)
    assert found.shape == (len(texts), 7, 80)
    with plain():
        torch.testing.assert_close(leak.of_prefixes(captions), found)
    for length in range(1, 7):
        reaching = (captions.lengths >= length).nonzero()[:, 0]
        prefixes = captions_from_ids([texts[row][:length] for row in reaching], [0] * len(reaching))
        torch.testing.assert_close(found[reaching, length], sentence_vectors(discriminator, prefixes))


def test_following_copies_exactly_and_only_when_it_is_asked_for(discriminator):
    generator = tiny.leakgan()
    generator.follow(discriminator)
    leak, critic = generator.leak, discriminator.critic
    assert torch.equal(leak.words, discriminator.words.weight)
    first = 0
    for convolution in critic.convolutions:
        for place in range(convolution.weight.shape[2]):
            assert torch.equal(leak.kernels[first : first + 16], convolution.weight[:, :, place])
            first += 16
    assert first == len(leak.kernels)
    assert torch.equal(leak.bias, torch.cat([convolution.bias for convolution in critic.convolutions]))
    for own in ("carry", "transform"):
        assert torch.equal(getattr(leak, f"{own}_weight"), getattr(critic, own).weight)
        assert torch.equal(getattr(leak, f"{own}_bias"), getattr(critic, own).bias)
    captions = tiny.captions_of(0)
    before = generator.score(tiny.features(), captions)
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    assert torch.equal(generator.score(tiny.features(), captions), before)
    generator.follow(discriminator)
    assert not torch.allclose(generator.score(tiny.features(), captions), before)


def test_what_was_leaked_is_saved_and_never_learned(discriminator):
    generator = tiny.leakgan()
    generator.follow(discriminator)
    assert list(generator.leak.parameters()) == []
    generator.score(tiny.features(), tiny.captions_of(0)).sum().backward()
    assert all(not weight.requires_grad and weight.grad is None for weight in generator.leak.buffers())
    assert all(weight.grad is None for weight in discriminator.parameters())
    other = tiny.leakgan()
    other.load_state_dict(generator.state_dict())
    assert torch.equal(
        other.score(tiny.features(), tiny.captions_of(0)), generator.score(tiny.features(), tiny.captions_of(0))
    )


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (LSTMDiscriminator, {}, "LSTMDiscriminator has none: give discriminator=cnn"),
        (CNNDiscriminator, {"widths": [1, 2, 3]}, "kernels of the generator's leaked features"),
        (CNNDiscriminator, {"embedding": 4}, r"words of the generator's leaked features are \(6, 8\), the discr"),
    ],
)
def test_another_discriminator_is_refused(kind, changes, message):
    with pytest.raises(UserError, match=message):
        tiny.leakgan().follow(tiny.discriminator(kind, **changes))


def test_logits_are_the_workers_matrix_times_the_embedded_sum_of_the_last_goals():
    """As the paper has it, with the matrix written out (horizon 2)."""
    torch.manual_seed(0)
    generator, images = tiny.leakgan().eval(), tiny.features()
    text = [4, 5, 4, EOS]
    captions = captions_from_ids([text], [1])
    goals, _ = generator.goals(images, captions)
    torch.testing.assert_close(goals.norm(dim=2), torch.ones(1, 4))
    state = generator.start(images, 4).select(captions.images)
    matrices = generator.output.weight.view(3, 7, 3)  # words, (h, 1), k
    for place, token in enumerate([BOS, *text[:-1]]):
        logits, state = generator.step(torch.tensor([token]), state)
        summed = goals[0, max(place - 1, 0) : place + 1].sum(0)
        embedded = generator.embed.weight @ summed
        output = torch.einsum("whk,h->wk", matrices, torch.cat([state.own[0][0], torch.ones(1)]))
        torch.testing.assert_close(logits[0], output @ (embedded / embedded.norm()))


def test_a_prefix_of_nothing_has_features_too_and_padding_is_never_seen():
    torch.manual_seed(0)
    leak = tiny.leakgan().leak
    short = captions_from_ids([[4, EOS]], [0])
    wide = replace(short, tokens=torch.nn.functional.pad(short.tokens, (0, 3), value=5))
    torch.testing.assert_close(leak.of_prefixes(wide)[:, :3], leak.of_prefixes(short))
    nothing = leak.of_prefixes(short)[0, 0]
    torch.testing.assert_close(
        nothing, torch.sigmoid(leak.carry_bias) * torch.relu(leak.transform_bias)
    )  # a highway layer over zeros
