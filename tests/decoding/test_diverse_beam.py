from __future__ import annotations

from collections import Counter

import pytest
import torch

from gan_caption.data.captions import EOS
from gan_caption.decoding.beam import beam_candidates
from gan_caption.decoding.diverse_beam import diverse_beam_search
from gan_caption.errors import UserError
from gan_caption.generators.lstm import LSTMGenerator
from tests import tiny
from tests.decoding.test_candidates import told
from tests.tiny_runs import part

WORDS = 9


def generator_of(seed: int) -> LSTMGenerator:
    torch.manual_seed(seed)
    made = tiny.lstm(vocabulary_size=WORDS, hidden=6)
    for parameter in made.parameters():
        parameter.data *= 2.5
    made.output.bias.data[0] += 1  # <eos>: captions end at different steps
    return made.eval()


def slow_search(generator, images, image, *, groups, beam_size, diversity, max_length, penalty):
    """Algorithm 1, one image, one beam and one word at a time."""
    beams = [[([], 0.0, 0.0)] for _ in range(groups)]  # words, the augmented score, log p
    done = [[] for _ in range(groups)]
    for step in range(max_length):
        used = Counter()
        for group in range(groups):
            if len(done[group]) >= beam_size:
                continue
            continuations = []
            for words, augmented, log_prob in beams[group]:
                for word in range(EOS, generator.vocabulary_size):
                    text = [*words, word]
                    own = tiny.stepwise_log_probs(generator, images, text, image)[-1].item()
                    score = augmented + own - diversity * used[word]
                    continuations.append((text, score, log_prob + own))
            continuations.sort(key=lambda one: -one[1])
            chosen = continuations[:beam_size]
            cut = step == max_length - 1
            done[group] += [one for one in chosen if one[0][-1] == EOS or cut]
            beams[group] = [one for one in continuations if one[0][-1] != EOS][:beam_size]
            used.update(text[-1] for text, _, _ in chosen if text[-1] != EOS)
    kept = []
    for own in done:
        own.sort(key=lambda one: -one[1] / len(one[0]) ** penalty)
        kept += own[:beam_size]
    return sorted(
        ((text, log_prob / len(text) ** penalty, log_prob) for text, _, log_prob in kept), key=lambda o: -o[1]
    )


@pytest.mark.parametrize("seed", [2, 4, 9])  # of which captions end at different steps
@pytest.mark.parametrize(("groups", "beam_size"), [(3, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("penalty", [0.0, 0.8])
def test_against_the_algorithm_word_by_word(seed, groups, beam_size, penalty):
    generator, images = generator_of(seed), tiny.features(4, seed=seed)
    settings = {"groups": groups, "beam_size": beam_size, "diversity": 0.6, "max_length": 4}
    found = diverse_beam_search(generator, images, length_penalty=penalty, **settings)
    for image in range(4):
        exact, listed = slow_search(generator, images, image, penalty=penalty, **settings), told(found, image)
        assert [text for text, _, _ in listed] == [text for text, _, _ in exact]
        for own, wanted in zip(listed, exact, strict=True):
            assert own[1:] == pytest.approx(wanted[1:], abs=1e-5)


@pytest.mark.parametrize(
    ("diversity", "captions"),
    [
        # p(4) = .6, p(5) = .3, p(<eos>) = .1 at every step. Group 1 writes 4 4.
        # ln .6 - lambda < ln .3 where lambda > .693: then group 2 writes 5 5.
        (0.6, [[4, 4], [4, 4]]),
        (0.8, [[4, 4], [5, 5]]),
        # Of a third group 4 and 5 are penalised, <eos> is free:
        (1.0, [[4, 4], [5, 5], [4, 4]]),  # ln .6 - 1 = -1.511, ln .3 - 1 = -2.204, ln .1 = -2.303
        (2.0, [[4, 4], [5, 5], [EOS]]),  # -2.511, -3.204, -2.303
    ],
)
def test_by_hand(diversity, captions):
    generator, images = tiny.generators()[0], tiny.features()
    with torch.no_grad():
        generator.output.weight.zero_()
        generator.output.bias.copy_(torch.tensor([0.1, 0.6, 0.3]).log())
    found = diverse_beam_search(generator, images, groups=len(captions), beam_size=1, diversity=diversity, max_length=2)
    share = {EOS: 0.1, 4: 0.6, 5: 0.3}
    for image in (0, 1):
        listed = told(found, image)
        assert sorted(text for text, _, _ in listed) == sorted(captions)
        for text, _, log_prob in listed:
            product = torch.tensor([share[word] for word in text]).log().sum()
            assert log_prob == pytest.approx(product.item(), abs=1e-5)


@pytest.mark.parametrize("index", tiny.EVERY)
def test_one_group_is_beam_search(index):
    generator, images = tiny.generators(seed=3)[index], tiny.features(5)
    settings = {"beam_size": 3, "max_length": 6, "length_penalty": 0.8, "no_repeated_trigram": True}
    found = diverse_beam_search(generator, images, groups=1, diversity=5.0, **settings)
    wanted = beam_candidates(generator, images, **settings)
    assert torch.equal(found.captions.tokens, wanted.captions.tokens)
    assert torch.equal(found.captions.images, wanted.captions.images)
    torch.testing.assert_close(found.log_probs, wanted.log_probs)
    torch.testing.assert_close(found.scores, wanted.scores)


@pytest.mark.parametrize("index", tiny.EVERY)
def test_without_a_penalty_every_group_is_a_beam_search_of_its_own(index):
    generator, images = tiny.generators(seed=4)[index], tiny.features(4)
    found = diverse_beam_search(generator, images, groups=3, beam_size=2, diversity=0.0, max_length=5)
    wanted = beam_candidates(generator, images, beam_size=2, max_length=5)
    for image in range(4):
        thrice = [one for one in told(wanted, image) for _ in range(3)]
        assert [text for text, _, _ in told(found, image)] == [text for text, _, _ in thrice]


@pytest.mark.parametrize("generator", [tiny.generators(seed=3)[2], generator_of(2), generator_of(4)])
def test_the_batch_never_changes_an_image(generator):
    """Alone, in another order, and beside images that end sooner or later, an image has the same captions."""
    images = tiny.features(7, seed=2)
    settings = {"groups": 3, "beam_size": 2, "diversity": 0.7, "max_length": 6}
    together = diverse_beam_search(generator, images, **settings)
    order = torch.tensor([4, 2, 6, 0, 5, 1, 3])
    shuffled = diverse_beam_search(generator, images.select(order), **settings)
    lengths = set()
    for place, image in enumerate(order.tolist()):
        alone = told(diverse_beam_search(generator, images.select(order[place : place + 1]), **settings), 0)
        texts = [text for text, _, _ in alone]
        assert texts == [text for text, _, _ in told(together, image)]
        assert texts == [text for text, _, _ in told(shuffled, place)]
        lengths.add(max(map(len, texts)))
    assert len(lengths) > 1


def test_a_stronger_penalty_gives_more_different_captions():
    generator, images = generator_of(2), tiny.features(20)
    different = []
    for diversity in (0.0, 0.1, 1.0):
        found = diverse_beam_search(generator, images, groups=4, beam_size=1, diversity=diversity, max_length=5)
        different.append(sum(len({tuple(text) for text, _, _ in told(found, image)}) for image in range(20)))
    assert different[0] == 20  # one an image
    assert different[0] < different[1] < different[2]


def test_the_decoder_gives_the_most_probable_of_all_groups():
    generator, images = generator_of(2), tiny.features(5)
    decoder = part("decoding/diverse_beam", groups=3, beam_size=2, diversity=0.5, length_penalty=0.5)
    rng = torch.Generator()
    best = decoder(generator, images, max_length=5, rng=rng)
    found = decoder.candidates(generator, images, max_length=5, rng=rng)
    assert best.images.tolist() == list(range(5))
    for image in range(5):
        listed = told(found, image)
        assert best.tokens[image, : best.lengths[image]].tolist() == max(listed, key=lambda one: one[1])[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": 0}, "groups=0"),
        ({"beam_size": 0}, "beam_size=0"),
        ({"diversity": -0.1}, "diversity=-0.1"),
        ({"diversity": 101}, "diversity=101.*: 0 to 100"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        part("decoding/diverse_beam", **settings)
