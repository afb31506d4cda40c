"""The Transformer against PyTorch's own layers, and what its cache shares."""

from __future__ import annotations

import pytest
import torch

from experiments.speed.policies.textbook import Textbook, place
from gan_caption.data.captions import BOS, EOS, captions_from_ids
from gan_caption.generators.transformer import sines
from tests import tiny

TEXTS = [[4, 5, 4, EOS], [EOS], [5, EOS], [5, 5, 5, 4, EOS]]


@pytest.mark.parametrize("regions", [None, [4, 2, 3]])
@pytest.mark.parametrize(("norm", "encoder_layers"), [("before", 0), ("before", 2), ("after", 1)])
def test_it_is_pytorchs_layers_without_a_cache(norm, encoder_layers, regions):
    torch.manual_seed(0)
    generator = tiny.transformer(norm=norm, encoder_layers=encoder_layers, hidden=8).eval()
    for name, weight in generator.named_parameters():
        if "normalise" in name:  # which begin as ones and zeros
            weight.data += 0.3 * torch.randn(weight.shape)
    features = tiny.features(3)
    features = type(features)(features.pooled, features.grid, None if regions is None else torch.tensor(regions))
    captions = captions_from_ids(TEXTS, [0, 0, 1, 2])
    textbook, wanted = Textbook(generator, norm_first=norm == "before"), []
    with torch.no_grad():
        for text, image in zip(TEXTS, captions.images, strict=True):
            wanted.append(
                textbook.logits(textbook.see(features.select(image[None])), torch.tensor([[BOS, *text[:-1]]]))
            )
    torch.testing.assert_close(generator.logits(features, captions), torch.cat(wanted, dim=1)[0])


def test_places_are_the_papers():
    torch.testing.assert_close(sines(torch.tensor([0, 1, 7]), 6), torch.tensor([place(at, 6) for at in (0, 1, 7)]))


def test_forks_and_rollouts_share_what_was_read():
    generator, images = tiny.generators()[4], tiny.features()
    state = generator.start(images, 5)
    for tokens in ([BOS, BOS], [4, 5]):
        _, state = generator.step(torch.tensor(tokens), state)
    assert [len(layer) for layer in state.slots] == [4, 4]  # two words of two captions, in each of two layers
    many = state.repeat(50)
    assert all(one is other for one, other in zip(many.slots, state.slots, strict=True))
    _, after = generator.step(torch.full((100,), 4), many)
    assert [len(layer) for layer in after.slots] == [104, 104]

    captions = captions_from_ids([[4, 5, 4, EOS], [5, EOS]], [0, 1])
    _, prefixes = generator.after_each_prefix(captions, generator.start(images, 5))
    assert len(prefixes) == 8
    assert [len(layer) for layer in prefixes.slots] == [10, 10]  # of each caption `<bos>` and four places
    assert prefixes.positions.tolist() == [2, 3, 4, 5] * 2


def test_a_row_may_come_to_take_as_much_as_its_longest_caption():
    state = tiny.transformer(hidden=8, layers=3).start(tiny.features(), 5)
    assert state.row_bytes == 6 * (3 * 2 * 8 * 4 + 8)  # six words: three layers' keys and values, and a place


def test_a_cache_that_is_named_is_rebuilt_for_any_mixture_of_lengths():
    """Rows that have read one word, two and three stand side by side: an export lays them out alike."""
    generator, images = tiny.generators()[4], tiny.features(3)
    captions = captions_from_ids([[4, 5, 4], [5, 5, 4], [4, 4, 4]], [0, 1, 2])
    _, prefixes = generator.after_each_prefix(captions, generator.start(images, 5))
    mixed = prefixes.select(torch.tensor([0, 4, 8]))
    named = mixed.named_tensors()
    assert named["state_0"].shape == (3, 6, 2, 2 * 4)
    assert named["state_1"].tolist() == [2, 3, 4]
    again = mixed.rebuilt(named)
    for tokens in ([4, 5, 4], [5, 5, 5]):
        wanted, mixed = generator.step(torch.tensor(tokens), mixed)
        found, again = generator.step(torch.tensor(tokens), again)
        torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(again.rebuilt(again.named_tensors()).positions, torch.tensor([4, 5, 6]))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"hidden": 9, "heads": 3}, "hidden=9: it must be even"), ({"hidden": 8, "heads": 3}, "a multiple of heads=3"),
     ({"layers": 0}, "layers=0"), ({"encoder_layers": -1}, "encoder_layers=-1"), ({"dropout": 1.0}, "dropout=1.0")],
)  # fmt: skip
def test_sizes_that_cannot_be_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        tiny.transformer(**sizes)
