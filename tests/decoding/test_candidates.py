from __future__ import annotations

import pytest
import torch

from gan_caption.data.captions import captions_from_ids
from gan_caption.decoding.beam import beam_candidates, beam_search
from gan_caption.decoding.candidates import Candidates
from tests import tiny
from tests.tiny_runs import part


def told(candidates: Candidates, image: int) -> list[tuple[list[int], float, float]]:
    """An image's captions, their scores and their log-probabilities, in order."""
    captions = candidates.captions
    rows = (captions.images == image).nonzero()[:, 0].tolist()
    return [
        (
            captions.tokens[row, : captions.lengths[row]].tolist(),
            candidates.scores[row].item(),
            candidates.log_probs[row].item(),
        )
        for row in rows
    ]


@pytest.mark.parametrize("index", tiny.EVERY)
@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_a_beam_that_holds_everything_lists_every_caption_by_its_exact_score(index, penalty):
    generator, images = tiny.generators(seed=index)[index], tiny.features()
    found = beam_candidates(generator, images, beam_size=16, max_length=3, length_penalty=penalty)
    for image in (0, 1):
        log_probs = [
            tiny.stepwise_log_probs(generator, images, text, image).sum().item() for text in tiny.all_captions()
        ]
        exact = sorted(
            ((text, own / len(text) ** penalty, own) for text, own in zip(tiny.all_captions(), log_probs, strict=True)),
            key=lambda one: -one[1],
        )
        listed = told(found, image)
        assert [text for text, _, _ in listed] == [text for text, _, _ in exact]
        for own, wanted in zip(listed, exact, strict=True):
            assert own[1:] == pytest.approx(wanted[1:], abs=1e-5)


@pytest.mark.parametrize("index", tiny.EVERY)
@pytest.mark.parametrize("beam_size", [1, 2, 3])
def test_the_first_is_what_beam_search_returns_and_the_rest_are_true_to_the_generator(index, beam_size):
    generator, images = tiny.generators(seed=7)[index], tiny.features(6)
    settings = {"beam_size": beam_size, "max_length": 5, "length_penalty": 0.8, "no_repeated_trigram": True}
    found, best = beam_candidates(generator, images, **settings), beam_search(generator, images, **settings)
    assert found.best.lengths.tolist() == best.lengths.tolist()
    assert found.best.images.tolist() == list(range(6))
    for image in range(6):
        listed = told(found, image)
        assert listed[0][0] == best.tokens[image, : best.lengths[image]].tolist()
        assert len(listed) == beam_size
        assert len({tuple(text) for text, _, _ in listed}) == beam_size
        for text, score, log_prob in listed:
            exact = tiny.stepwise_log_probs(generator, images, text, image).sum().item()
            assert log_prob == pytest.approx(exact, abs=1e-5)
            assert score == pytest.approx(exact / len(text) ** 0.8, abs=1e-5)
        assert [score for _, score, _ in listed] == sorted((score for _, score, _ in listed), reverse=True)


def test_ranking_keeps_images_apart_and_ties_in_order():
    captions = captions_from_ids([[4], [5], [4, 5], [5, 5], [3], [4, 4]], [0, 0, 0, 2, 2, 2])
    numbers = torch.arange(6.0)
    ranked = Candidates(captions, -numbers, numbers).ranked_by(torch.tensor([1.0, 2, 1, 0, 7, 0]))
    assert ranked.captions.images.tolist() == [0, 0, 0, 2, 2, 2]
    assert ranked.log_probs.tolist() == [1, 0, 2, 4, 3, 5]
    assert ranked.scores.tolist() == [2, 1, 1, 7, 0, 0]
    assert ranked.captions.tokens.tolist() == [[5, 0], [4, 0], [4, 5], [3, 0], [5, 5], [4, 4]]
    assert ranked.best.tokens.tolist() == [[5, 0], [3, 0]]
    assert ranked.best.images.tolist() == [0, 2]


@pytest.mark.parametrize(
    "proposer",
    [
        part("decoding/beam", beam_size=3, length_penalty=0.0),
        part("decoding/diverse_beam", groups=2, beam_size=2, length_penalty=0.0),
        part("proposer/sampling", samples=4),
    ],
    ids=lambda p: type(p),
)
def test_every_proposer_keeps_the_order_of_images_and_ranks_within_them(proposer):
    generator, images = tiny.generators()[0], tiny.features(3)
    found = proposer.candidates(generator, images, max_length=4, rng=torch.Generator().manual_seed(0))
    assert found.captions.images.tolist() == sorted(found.captions.images.tolist())
    for image in range(3):
        scores = [score for _, score, _ in told(found, image)]
        assert len(scores) >= 3
        assert scores == sorted(scores, reverse=True)


def test_samples_with_noise_of_their_own_belong_to_their_image():
    generator = tiny.lstm(noise_size=2).eval()
    drawn = part("decoding/sampling").draw(
        generator, tiny.features(3), samples=4, max_length=4, rng=torch.Generator().manual_seed(0)
    )
    assert drawn.samples_of.tolist() == drawn.of_images.images.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert len(drawn.features) == 12, "each has its own noise"
    several = part("decoding/sampling").several(
        generator, tiny.features(3), samples=4, max_length=4, rng=torch.Generator().manual_seed(0)
    )
    assert several.images.tolist() == drawn.samples_of.tolist()
    found = part("proposer/sampling", samples=3).candidates(
        generator, tiny.features(), max_length=3, rng=torch.Generator().manual_seed(0)
    )
    assert found.captions.images.tolist() == [0, 0, 0, 1, 1, 1]


def test_the_log_probabilities_of_samples_are_the_generators():
    generator, images = tiny.generators()[1], tiny.features()
    found = part("proposer/sampling", samples=6).candidates(
        generator, images, max_length=3, rng=torch.Generator().manual_seed(4)
    )
    for image in (0, 1):
        for text, _, log_prob in told(found, image):
            exact = tiny.stepwise_log_probs(generator, images, text, image).sum().item()
            assert log_prob == pytest.approx(exact, abs=1e-5)
