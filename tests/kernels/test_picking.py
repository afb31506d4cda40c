from __future__ import annotations

import contextlib

import pytest
import torch

from gan_caption.kernels import plain
from gan_caption.kernels.picking import _last_with_mass, pick

WAYS = pytest.mark.parametrize("way", [contextlib.nullcontext, plain], ids=["fast", "plain"])


@WAYS
def test_the_law(way):
    probabilities = torch.tensor([0.0, 0.5, 0.0, 0.2, 0.3, 0.0])
    uniforms = (torch.arange(10000) + 0.5) / 10000  # a grid over [0, 1): the shares must come out exactly
    with way():
        counts = pick(probabilities.expand(10000, -1), uniforms).bincount(minlength=6)
    assert (counts - probabilities * 10000).abs().max() <= 1


@WAYS
def test_never_draws_a_word_of_probability_zero(way):
    probabilities = torch.tensor([[0.0, 0.7, 0.3, 0.0], [0.0, 0.0, 1.0, 0.0]])
    for uniform in (0.0, 1 - 2**-24):
        with way():
            tokens = pick(probabilities, torch.full((2,), uniform))
        assert (probabilities.gather(1, tokens[:, None]) > 0).all()


@WAYS
@pytest.mark.parametrize("words", [5, 64, 200])
def test_of_what_is_no_number_some_word_is_drawn(words, way):
    """The loss is NaN then, which is told; an index beyond the vocabulary would end a GPU's process."""
    with way():
        found = pick(torch.full((3, words), torch.nan), torch.tensor([0.0, 0.5, 1 - 2**-24]))
    assert ((found >= 0) & (found < words)).all()


def test_a_place_without_mass_gives_way_to_the_last_one_with_some():
    """A GPU's sums may rise by a rounding error over a word of probability zero."""
    masses = torch.tensor([[0.0, 0.7, 0.0, 0.0, 0.3, 0.0]]).expand(6, -1)
    places = torch.arange(6)[:, None]
    assert _last_with_mass(masses, places)[1:, 0].tolist() == [1, 1, 1, 4, 4]


@WAYS
@pytest.mark.parametrize("words", [63, 64, 65, 1000])
def test_blocks_of_words_draw_what_the_whole_distribution_draws(words, way):
    """Against an inverse CDF in double precision, over rows that share distributions."""
    rng = torch.Generator().manual_seed(words)
    probabilities = torch.randn(7, words, generator=rng).mul(3).softmax(1)
    probabilities[:, ::5] = 0
    rows = torch.randint(7, (4000,), generator=rng)
    uniforms = torch.rand(4000, generator=rng)
    exact = probabilities.double().cumsum(1)[rows]
    threshold = uniforms.double() * exact[:, -1]
    wanted = (exact <= threshold[:, None]).sum(1)
    with way():
        found = pick(probabilities, uniforms, rows)
    near = (exact - threshold[:, None]).abs().min(1).values < 1e-6  # where rounding may decide
    assert torch.equal(found[~near], wanted[~near])
    assert near.sum() < 40
    assert (probabilities[rows, found] > 0).all()
