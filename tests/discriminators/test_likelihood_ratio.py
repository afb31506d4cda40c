from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from gan_caption.data.captions import EOS, UNK, Captions, SoftCaptions, captions_from_ids, stacked
from gan_caption.discriminators.likelihood_ratio import DenseLikelihoodRatioDiscriminator, LikelihoodRatioDiscriminator
from gan_caption.discriminators.spectral import spectrally_normalised
from gan_caption.discriminators.warm_start import take_from_generator
from gan_caption.generators import parts
from gan_caption.testing import check_discriminator
from tests import tiny

KINDS = [LikelihoodRatioDiscriminator, DenseLikelihoodRatioDiscriminator]


def away(kind, generator):
    """Where p_theta has moved from p_ref."""
    discriminator = kind(generator=generator)
    torch.manual_seed(1)
    for parameter in discriminator.generator.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return discriminator


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_it_keeps_the_contract(kind, place):
    discriminator = away(kind, tiny.generators()[place])
    check_discriminator(discriminator, tiny.features(3))
    assert not any(parameter.requires_grad for parameter in discriminator.reference.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_it_begins_at_chance_exactly_also_while_it_learns(kind):
    policy = tiny.generators(dropout=0.5, seed=3)[2]
    discriminator = kind(generator=tiny.generators(dropout=0.5)[2])
    take_from_generator(discriminator, policy)
    answers = discriminator.train()(tiny.features(), tiny.captions_of(1))
    assert torch.equal(answers, torch.zeros_like(answers))
    for copied in (discriminator.generator, discriminator.reference):
        torch.testing.assert_close(
            copied.score(tiny.features(), tiny.captions_of(1)), policy.score(tiny.features(), tiny.captions_of(1))
        )


def test_its_logit_is_the_ratio_word_by_word():
    discriminator, images = away(LikelihoodRatioDiscriminator, tiny.generators()[2]).eval(), tiny.features()
    dense = DenseLikelihoodRatioDiscriminator(generator=discriminator.generator)
    dense.reference = discriminator.reference
    for row, text in enumerate(tiny.all_captions()):
        own, reference = (
            tiny.stepwise_log_probs(policy, images, text, image=1)
            for policy in (discriminator.generator, discriminator.reference)
        )
        torch.testing.assert_close(discriminator(images, tiny.captions_of(1))[row], (own - reference).sum())
        torch.testing.assert_close(dense(images, tiny.captions_of(1))[row, : len(text)], own - reference)


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_captions_are_judged_at_once_as_fit_into_memory(kind, monkeypatch):
    discriminator, images = away(kind, tiny.generators()[2]).eval(), tiny.features()
    captions = stacked([tiny.captions_of(0), tiny.captions_of(0)], images=1)
    whole, read = discriminator(images, captions).detach(), []
    score = discriminator.generator.score
    monkeypatch.setattr(discriminator.generator, "score", lambda *given: read.append(len(given[1])) or score(*given))
    words = tiny.VOCABULARY - discriminator.generator.first_word
    monkeypatch.setattr(parts, "MOST", 2 * 4 * words * captions.tokens.shape[1] * 5)  # five captions
    torch.testing.assert_close(discriminator.fast_score(images, captions).detach(), whole)
    assert max(read) == 5
    assert sum(read) == len(captions)


def test_a_spectral_norm_leaves_the_copies_of_the_runs_networks_alone():
    policy = tiny.transformer()
    discriminator = spectrally_normalised(discriminator=LikelihoodRatioDiscriminator(generator=tiny.transformer()))
    take_from_generator(discriminator, policy)
    assert discriminator.generator.state_dict().keys() == policy.state_dict().keys()


def test_cross_entropy_leads_to_the_ratio_of_people_to_the_policy():
    """All captions of the world, weighed by both distributions: the optimum is log p_data / p_ref of each."""
    policy, images = tiny.generators()[0], tiny.features(1)
    torch.manual_seed(5)
    discriminator = LikelihoodRatioDiscriminator(generator=tiny.lstm(hidden=16, embedding=8))
    reference = tiny.lstm(hidden=16, embedding=8).eval()
    for parameter in reference.parameters():
        parameter.data *= 2
    take_from_generator(discriminator, reference)
    captions = tiny.captions_of(0)
    with torch.no_grad():
        people = policy.score(images, captions).sum(1)
        written = reference.score(images, captions).sum(1)
        torch.testing.assert_close(people.exp().sum(), torch.tensor(1.0))
    before = [parameter.clone() for parameter in discriminator.reference.parameters()]
    learning = [parameter for parameter in discriminator.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=0.01)
    for _ in range(600):
        logits = discriminator.train()(images, captions)
        loss = (people.exp() * functional.softplus(-logits) + written.exp() * functional.softplus(logits)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    wanted = people - written
    assert wanted.abs().max() > 1
    assert (logits - wanted).abs().max() < 0.05
    for parameter, old in zip(discriminator.reference.parameters(), before, strict=True):
        assert torch.equal(parameter, old)


@pytest.mark.parametrize("place", [0, 2])
def test_a_relaxed_word_counts_as_the_mean_of_its_words(place):
    """The last token weighs in one place alone, so that the logit is linear in it."""
    discriminator, images = away(LikelihoodRatioDiscriminator, tiny.generators()[place]).eval(), tiny.features(1)
    texts = [[5, 4, 4], [5, 4, 5], [5, 4, EOS]]
    shares = torch.tensor([0.2, 0.5, 0.3])
    captions = captions_from_ids(texts, [0, 0, 0])
    weights = (functional.one_hot(captions.tokens, tiny.VOCABULARY) * shares[:, None, None]).sum(0, keepdim=True)
    relaxed = SoftCaptions(captions.tokens[:1], captions.lengths[:1], captions.images[:1], weights)
    torch.testing.assert_close(discriminator(images, relaxed)[0], (shares * discriminator(images, captions)).sum())


def test_a_word_that_policies_never_write_tells_nothing():
    discriminator, images = away(LikelihoodRatioDiscriminator, tiny.generators()[0]).eval(), tiny.features(1)
    captions = Captions(torch.tensor([[4, UNK], [4, 5]]), torch.tensor([2, 1]), torch.tensor([0, 0]))
    with_unknown, without = discriminator(images, captions)
    torch.testing.assert_close(with_unknown, without)
    with_unknown.backward()
    assert all(parameter.grad.isfinite().all() for parameter in discriminator.generator.parameters())


def test_another_network_than_the_runs_and_noise_are_refused():
    discriminator = LikelihoodRatioDiscriminator(generator=tiny.lstm(hidden=5))
    with pytest.raises(ValueError, match=r"discriminator\.generator is another network"):
        take_from_generator(discriminator, tiny.lstm(hidden=4))
    with pytest.raises(ValueError, match=r"noise_size=3: .* give generator\.noise_size=0"):
        LikelihoodRatioDiscriminator(generator=tiny.lstm(noise_size=3))
