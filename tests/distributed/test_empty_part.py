"""A rank may have no image of a batch: every part of the package takes none, and gives nothing back."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from gan_caption.data.captions import EOS, Captions, captions_from_ids
from gan_caption.decoding.decoders import Greedy
from gan_caption.decoding.gumbel import STRAIGHT_THROUGH, soft_sample
from gan_caption.decoding.rollouts import complete_prefixes
from gan_caption.decoding.sampling import Samples
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.cnn_image_first import ImageFirstCNNDiscriminator
from gan_caption.discriminators.dense import DenseDiscriminator
from gan_caption.discriminators.dense_layer_norm import LayerNormDenseDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.discriminators.lstm_image_first import ImageFirstLSTMDiscriminator
from gan_caption.discriminators.multi import MultiDiscriminator
from gan_caption.discriminators.set import SetDiscriminator
from gan_caption.discriminators.spectral import spectrally_normalised
from gan_caption.objectives.baselines import BatchMean, LeaveOneOut, NoBaseline, SelfCritical
from gan_caption.objectives.credit import Discounted, MonteCarlo, WholeSequence
from gan_caption.objectives.critic import LearnedCritic
from gan_caption.objectives.discriminator import Wasserstein
from gan_caption.objectives.generalised_advantage import GeneralisedAdvantage
from gan_caption.objectives.samples import collect
from gan_caption.rewards.bleu import BleuReward
from gan_caption.rewards.cider import CiderDReward
from gan_caption.rewards.discriminator import DiscriminatorReward
from gan_caption.rewards.references import References
from gan_caption.rewards.transforms import Odds, Probability
from gan_caption.text.words import WordTokenizer
from tests import tiny
from tests.tiny_runs import part

NONE = tiny.features().select(torch.tensor([], dtype=torch.long))
SIZES = {"vocabulary_size": tiny.VOCABULARY, "pooled_size": 5}
KINDS = [
    CNNDiscriminator, ImageFirstCNNDiscriminator, LSTMDiscriminator, ImageFirstLSTMDiscriminator,
    DenseDiscriminator, LayerNormDenseDiscriminator, SetDiscriminator, MultiDiscriminator,
]  # fmt: skip


def generators():
    noisy = tiny.lstm(noise_size=2)
    return [*tiny.generators(), noisy.eval(), tiny.leakgan().eval()]


def nothing() -> Captions:
    return captions_from_ids([], [])


@pytest.mark.parametrize("generator", generators(), ids=lambda one: type(one).__name__)
def test_generators_and_decoders(generator):
    rng = torch.Generator()
    assert generator.score(NONE, nothing()).shape[0] == 0
    beam, diverse_beam = part("decoding/beam", beam_size=2), part("decoding/diverse_beam", groups=2)
    for decoder in (Greedy(), beam, diverse_beam, part("decoding/sampling")):
        assert len(decoder(generator, NONE, max_length=3, rng=rng)) == 0
    for proposer in (beam, diverse_beam, part("proposer/sampling", samples=2)):
        assert len(proposer.candidates(generator, NONE, max_length=3, rng=rng).captions) == 0
    assert len(complete_prefixes(generator, NONE, nothing(), rollouts=2, max_length=3, rng=rng).captions) == 0
    drawn = soft_sample(
        generator, NONE, samples=2, max_length=3, rng=rng, temperature=1, sharpness=1, relaxation=STRAIGHT_THROUGH
    )
    assert len(drawn.captions) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_discriminators(kind, training):
    discriminator = tiny.discriminator(kind).train(training)
    assert len(discriminator(NONE, nothing())) == 0
    assert len(discriminator.fast_score(NONE, nothing())) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_spectral_norm_goes_on_alike_where_a_penalty_is_of_no_captions(kind):
    """Each time that D is asked it comes nearer to its norm, and all ranks' are to be the same."""
    loss = Wasserstein(generated=1.0, mismatched=0.0, edited=0.0, gradient_penalty=10.0)
    discriminator = spectrally_normalised(discriminator=tiny.discriminator(kind)).train()
    other = copy.deepcopy(discriminator)
    loss.penalty(discriminator, NONE, real=nothing(), generated=nothing())
    some = captions_from_ids([[4, EOS]] * 5, [0, 0, 1, 1, 1])
    loss.penalty(other, tiny.features(2), real=some, generated=some)
    norms = {name: one for name, one in discriminator.state_dict().items() if name.endswith(("._u", "._v"))}
    assert norms
    assert all(torch.equal(one, other.state_dict()[name]) for name, one in norms.items())


def test_rewards():
    vocabulary = WordTokenizer(min_count=1).learn(["a b"])
    references = References([["a b"], ["b"]], vocabulary, max_length=3)
    none = replace(NONE, rows=torch.zeros(0, dtype=torch.long))
    for reward in (CiderDReward(references=references), BleuReward(references=references)):
        assert reward(none, nothing()).shape == (0,)
    for transform in (Probability(), Odds()):
        reward = DiscriminatorReward(
            discriminator=tiny.discriminator(CNNDiscriminator), transform=transform, chunk_rows=2048
        )
        assert reward(none, nothing()).shape == (0,)


def test_credits_and_baselines():
    generator = tiny.generators()[0]
    samples: Samples = collect(generator, NONE, samples=2, max_length=3, rng=torch.Generator())
    rewards = torch.zeros(0)
    common = {"reward": tiny.CaptionReward(), "rng": torch.Generator()}
    for credit in (WholeSequence(), MonteCarlo(rollouts=2, update_rate=1.0)):
        returns = credit(generator, samples, rewards, **common)
        assert len(returns) == 0
    assert len(Discounted(discount=0.23)(generator, samples, torch.zeros(0, 3), **common)) == 0
    learned = {**SIZES, "device": torch.device("cpu"), "hidden": 4, "embedding": 4, "learning_rate": 1e-3, "clip": 5.0}
    critics = LearnedCritic(**learned), GeneralisedAdvantage(**learned, discount=1.0, gae_lambda=0.95, updates=2)
    for baseline in (NoBaseline(), BatchMean(), LeaveOneOut(), SelfCritical(), *critics):
        assert len(baseline(returns, samples, generator=generator, reward=tiny.CaptionReward())) == 0


def test_the_encoder_that_learns():
    features = part("encoder/scene_cnn", width=4)(torch.zeros(0, 3, 48, 48, dtype=torch.uint8))
    assert features.pooled.shape == (0, 144)
