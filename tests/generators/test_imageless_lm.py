"""A pretrained language model without an image: what `transformers` says of the same tokens."""

from __future__ import annotations

import pytest
import torch

from gan_caption.data.captions import BOS, EOS, captions_from_ids
from gan_caption.generators.imageless_lm import ImagelessLM
from gan_caption.testing import check_generator
from gan_caption.text.pretrained import program_order
from gan_caption.text.pretrained_models import find_model, load_causal_lm, load_tokenizer
from tests import tiny, tiny_lm


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def source(request, tmp_path_factory):
    return find_model(str(tiny_lm.write_model(tmp_path_factory.mktemp(request.param), request.param)))


def test_it_keeps_the_contract(source):
    check_generator(ImagelessLM(source), tiny.features(), tolerance=1e-3)
    assert ImagelessLM(source).pretrained_parameters() == []


@torch.no_grad()
def test_it_says_what_the_model_says_whatever_the_image(source):
    generator = ImagelessLM(source).eval()
    theirs, order = load_causal_lm(source), torch.tensor(program_order(load_tokenizer(source), source))
    texts = [[7, 9, 40, EOS], [len(order) - 1, 5]]
    found = generator.score(tiny.features(), captions_from_ids([*texts, texts[0]], [0, 0, 1]))
    assert torch.equal(found[0], found[2])
    for row, text in enumerate(texts):
        logits = theirs(order[torch.tensor([[BOS, *text[:-1]]])]).logits[0, :, order[EOS:]]
        wanted = logits.log_softmax(1)[torch.arange(len(text)), torch.tensor(text) - EOS]
        torch.testing.assert_close(found[row, : len(text)], wanted, atol=1e-4, rtol=1e-4)
