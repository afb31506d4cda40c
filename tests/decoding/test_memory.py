"""What goes on at once is counted in bytes of states and logits together, and changes no result."""

from __future__ import annotations

import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.decoding import beam, memory
from gan_caption.decoding.beam import beam_candidates, images_at_once
from gan_caption.decoding.decoders import Sampling
from gan_caption.decoding.diverse_beam import diverse_beam_search
from gan_caption.decoding.memory import rollout_memory, rows_at_once
from gan_caption.evaluation.likelihood import reference_nll
from gan_caption.generators import parts
from gan_caption.generators.state import TensorState
from gan_caption.training.seeding import shared_generator
from tests import tiny
from tests.objectives.tabular import TabularGenerator


def test_rows_by_hand():
    cache = torch.zeros(2, 3, 7, 5)  # 105 numbers of 4 bytes a row
    state = TensorState((cache, torch.zeros(2, dtype=torch.long)), (torch.zeros(2, 10**6),))
    assert state.row_bytes == 428
    assert state.repeat(5).row_bytes == 428
    assert state.select(torch.tensor([], dtype=torch.long)).row_bytes == 428
    assert rows_at_once(state, words=18, memory=5000) == 10
    assert rows_at_once(state, words=18, memory=1) == 1


def test_off_the_cpu_a_row_takes_what_is_copied_for_it_as_well():
    """Keys and values of 49 regions, say, which on a CPU are read where they lie."""
    own, shared = (torch.zeros(2, 10, device="meta"),), (torch.zeros(2, 49, 6, device="meta"),)
    assert TensorState(own, shared).row_bytes == 4 * (10 + 49 * 6)
    on_a_cpu = (torch.zeros(2, 10),), (torch.zeros(2, 49, 6),)
    assert TensorState(*on_a_cpu).row_bytes == 4 * 10


def test_rollouts_of_a_large_policy_take_as_much_as_its_weights():
    """In units of what a small one takes on a CPU, 64 MiB: sixteen at most, which is also what a GPU takes."""
    unit, cpu = 1 << 26, torch.device("cpu")

    class Policy(TabularGenerator):
        units: float

        def weights(self):
            return [torch.empty(int(self.units * unit / 4), device="meta")]  # of 4 bytes each, not made

    def policy(units: float) -> Policy:
        made = Policy(seed=0, spread=1.0)
        made.units = units
        return made

    assert [rollout_memory(policy(units), cpu) / unit for units in (0.1, 1, 8.5, 40)] == [1, 1, 8.5, 16]
    assert rollout_memory(policy(1), torch.device("cuda")) / unit == 16


@pytest.mark.slow
def test_a_large_state_is_searched_with_fewer_images_at_once():
    generator = tiny.generators()[0]
    small, large = (TensorState((torch.zeros(1, size),)) for size in (10, 10**6))
    assert images_at_once(generator, small, rows_each=5) == 192
    assert images_at_once(generator, large, rows_each=5) == memory.MOST // (4 * 10**6 + 4 * 3) // 5
    assert images_at_once(generator, TensorState((torch.zeros(1, 1).expand(1, 10**9),)), rows_each=5) == 1


@pytest.mark.parametrize("index", tiny.EVERY)
def test_images_searched_for_in_parts(index, monkeypatch):
    generator, images = tiny.generators()[index], tiny.features(5)

    def searches():
        yield beam_candidates(generator, images, beam_size=3, max_length=4)
        yield diverse_beam_search(generator, images, groups=2, beam_size=2, diversity=0.5, max_length=4)

    together = list(searches())
    monkeypatch.setattr(beam, "_AT_ONCE", 2)
    for whole, apart in zip(together, searches(), strict=True):
        assert torch.equal(apart.captions.tokens, whole.captions.tokens)
        assert torch.equal(apart.captions.images, whole.captions.images)
        torch.testing.assert_close(apart.scores, whole.scores)
        torch.testing.assert_close(apart.log_probs, whole.log_probs)


@pytest.mark.parametrize("at_once", [1, 3, 4, 7, 100])
def test_captions_that_are_scored_in_parts_are_scored_alike(at_once, monkeypatch):
    """Of seven captions, some of one image, so many at a time; by `score`, by a sampler, and as people's captions."""
    generator, features = tiny.generators()[0].eval(), tiny.features(3)
    words = generator.vocabulary_size - generator.first_word
    captions = captions_from_ids([[5, EOS], [4, 5, EOS], [EOS], [4, 4, 5, EOS]] + [[5, 5, EOS]] * 3,
                                 [0, 0, 2, 1, 1, 2, 0])  # fmt: skip
    whole = generator.score(features, captions).sum(1)
    sampler = Sampling(temperature=0.8, top_k=0, top_p=0.9)
    drawn = sampler.log_probs(generator, features, captions, max_length=5, rng=torch.Generator())
    told = reference_nll(generator, features, captions, sampler, max_length=5, rng=shared_generator(1))
    longest = captions.tokens.shape[1]
    for copies in (2, 4):
        monkeypatch.setattr(parts, "MOST", at_once * copies * 4 * words * longest)
        seen = [len(part) for _, part in parts.parts_that_fit(generator, features, captions, copies=copies)]
        assert max(seen) == min(at_once, 7)
        assert sum(seen) == 7
    torch.testing.assert_close(parts.log_probs_in_parts(generator, features, captions), whole)
    torch.testing.assert_close(
        sampler.log_probs(generator, features, captions, max_length=5, rng=torch.Generator()), drawn
    )
    assert reference_nll(
        generator, features, captions, sampler, max_length=5, rng=shared_generator(1)
    ).nats == pytest.approx(told.nats)
