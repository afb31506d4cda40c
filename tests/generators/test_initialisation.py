"""What weights a generator begins with."""

from __future__ import annotations

import pytest
import torch

from gan_caption.errors import UserError
from gan_caption.generators.initialisation import NormalWeights
from gan_caption.text.words import WordTokenizer
from gan_caption.training.setup import build_captioner, build_encoder, check_configuration
from tests import tiny
from tests.tiny_runs import composed


def test_every_weight_is_normal_and_torchs_seed_decides():
    generator = tiny.attention_lstm(hidden=64, embedding=64)
    torch.manual_seed(1)
    NormalWeights(std=0.1)(generator)
    for name, parameter in generator.named_parameters():
        values = parameter.detach().flatten()
        if len(values) > 200:
            assert abs(values.mean().item()) < 4 * 0.1 / len(values) ** 0.5, name
            assert values.std().item() == pytest.approx(0.1, rel=0.25), name
            assert (values.abs() > 0.2).float().mean().item() == pytest.approx(0.0455, abs=0.05), name
    weights = [parameter.clone() for parameter in generator.parameters()]
    torch.manual_seed(1)
    NormalWeights(std=0.1)(generator)
    assert all(torch.equal(one, other) for one, other in zip(weights, generator.parameters(), strict=True))


def captioner_of(*overrides):
    settings = check_configuration(composed("tracker=local", "threads=1", "+experiment=mle", *overrides))
    tokenizer = WordTokenizer(min_count=1).learn([" ".join(f"w{number}" for number in range(300))])
    device = torch.device("cpu")
    return build_captioner(settings, build_encoder(settings, device=device), tokenizer, device=device).generator


def test_the_synthetic_task_begins_as_its_authors_do_and_nothing_else_does():
    theirs = captioner_of("data=oracle", "encoder=none", "generator=lstm", "data.words=50")
    usual = captioner_of("generator=lstm")
    stds = [
        next(parameter for name, parameter in one.named_parameters() if name == "words.weight").std().item()
        for one in (theirs, usual)
    ]
    assert stds[0] == pytest.approx(0.1, rel=0.1)
    assert stds[1] != pytest.approx(0.1, rel=0.3)


def test_a_faulty_one_is_refused_before_anything_runs():
    with pytest.raises(UserError, match=r"initialisation.std"):
        check_configuration(composed("tracker=local", "data=oracle", "+experiment=mle", "initialisation.std=wide"))


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(ValueError, match=r"std=0\.0: above 0"):
        NormalWeights(std=0.0)
