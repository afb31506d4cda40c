from __future__ import annotations

import pytest
import torch

from gan_caption.data.captions import EOS, UNK, Captions, SoftCaptions, captions_from_ids
from gan_caption.discriminators.calibrated import Calibrated
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.dense import DenseDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.discriminators.retokenized import RetokenizedDiscriminator
from gan_caption.discriminators.set import SetDiscriminator
from gan_caption.discriminators.spectral import spectrally_normalised
from gan_caption.discriminators.warm_start import take_from_generator
from gan_caption.errors import UserError
from gan_caption.generators.leaked_features import LeakedFeatures
from gan_caption.objectives.discriminator import Wasserstein
from gan_caption.testing import check_discriminator
from gan_caption.text.words import WordTokenizer
from tests import tiny
from tests.text.subwords import OWN, Subwords

SUBWORDS = Subwords()
WORDS = WordTokenizer.of(["a", "red", "blue", "circle", "is", "n't"])
LONG = 30
"""Pieces at random, so that there are as many words as the widest filter covers."""
A, RED, BLUE, CIRCLE, IS, NOT = range(EOS + 1, len(WORDS))


def retokenized(kind=CNNDiscriminator, tokenizer=WORDS, policy_tokenizer=SUBWORDS, **changes):
    torch.manual_seed(0)
    inside = tiny.discriminator(kind, vocabulary_size=len(tokenizer), **changes)
    return RetokenizedDiscriminator(discriminator=inside, tokenizer=tokenizer, policy_tokenizer=policy_tokenizer).eval()


def written(*texts, max_length=50):
    """Captions of one image, as the data make them."""
    return captions_from_ids([SUBWORDS.encode(text, max_length=max_length) for text in texts], [0] * len(texts))


def pieces(*own, ended=True):
    """A caption in pieces that no encoder chooses, as a policy may write it."""
    ids = [SUBWORDS.program_of[OWN.index(piece)] for piece in own]
    return captions_from_ids([[*ids, EOS] if ended else ids], [0])


@pytest.mark.parametrize("kind", [CNNDiscriminator, LSTMDiscriminator, SetDiscriminator])
@pytest.mark.parametrize("tokenizers", [(WORDS, SUBWORDS), (SUBWORDS, WORDS)])  # fewer tokens than T, and more
def test_it_keeps_the_contract(kind, tokenizers):
    check_discriminator(
        retokenized(kind, *tokenizers), tiny.features(3), max_length=LONG, of_sets=kind is SetDiscriminator
    )


@pytest.mark.parametrize("wrap", [spectrally_normalised, Calibrated])
def test_it_keeps_the_contract_inside_another(wrap):
    check_discriminator(wrap(discriminator=retokenized()), tiny.features(3), max_length=LONG)


def test_subwords_are_judged_as_the_words_that_they_say():
    """By hand: the ids of the words, given to the discriminator inside."""
    discriminator, images = retokenized(), tiny.features()
    told = written("A red circle.", "a  blue, circle", "it isn't green")
    said = captions_from_ids([[A, RED, CIRCLE, EOS], [A, BLUE, CIRCLE, EOS], [UNK, IS, NOT, UNK, EOS]], [0, 0, 0])
    assert told.tokens.shape[1] > said.tokens.shape[1]
    wanted = discriminator.discriminator(images, said)
    assert len(wanted.unique()) == 3
    for answer in (discriminator, discriminator.fast_score):
        torch.testing.assert_close(answer(images, told), wanted)


def test_a_text_has_one_answer_in_whatever_pieces_it_was_written():
    discriminator, images = retokenized(), tiny.features()
    spellings = [
        written("a red circle"), pieces("a", " red", " c", "i", "rcle"), pieces("a", " ", "r", "e", "d", *" circle"),
        pieces(" a", " red", " c", "i", "rcle", "."),
    ]  # fmt: skip
    answers = [discriminator(images, spelled) for spelled in spellings]
    assert torch.equal(torch.cat(answers), answers[0].expand(4))
    assert not torch.equal(discriminator(images, written("a blue circle")), answers[0])


def test_a_caption_that_was_cut_stays_cut_and_none_is_cut_again():
    reading = retokenized().reading(written("A red circle", "a red circle is red", "a", max_length=4))
    read = [row[:length] for row, length in zip(reading.tokens.tolist(), reading.lengths.tolist(), strict=True)]
    assert read == [[A, RED, UNK], [A, RED, UNK], [A, EOS]]  # "A red c", "a red c": the rest of a word was cut off
    longer = retokenized(tokenizer=SUBWORDS, policy_tokenizer=WORDS).reading(captions_from_ids([[A, RED, CIRCLE]], [0]))
    assert longer.tokens.tolist() == [SUBWORDS.encode("a red circle", max_length=50)[:-1]]
    assert longer.tokens.shape[1] > 3
    assert retokenized().reading(pieces(" a", " red", ended=False)).tokens.tolist() == [[A, RED]]


def test_where_nothing_is_to_be_read_there_is_a_token_nevertheless():
    discriminator = retokenized()
    assert discriminator.reading(pieces(".", "!")).tokens.tolist() == [[EOS]]
    assert discriminator.reading(pieces(".", "!", ended=False)).tokens.tolist() == [[UNK]]
    assert discriminator.reading(written()).tokens.shape[0] == 0
    assert discriminator(tiny.features(), written()).shape == (0,)


def test_images_and_what_stands_on_padding_are_as_they_were():
    captions = written("a red circle", "a", "red")
    dirty = captions.tokens.masked_fill(~captions.mask, SUBWORDS.program_of[OWN.index(" blue")])
    captions = Captions(dirty, captions.lengths, torch.tensor([0, 1, 1]))
    reading = retokenized().reading(captions)
    assert reading.images.tolist() == [0, 1, 1]
    assert reading.tokens.tolist() == [[A, RED, CIRCLE, EOS], [A, EOS, 0, 0], [RED, EOS, 0, 0]]


def test_words_that_no_caption_has_and_rare_ones_are_unknown_whoever_writes_them():
    told = ["a red circle", "a red square", "a red circle"]
    words = WordTokenizer(min_count=2).learn(told)
    discriminator = retokenized(tokenizer=words)
    person, policy = (discriminator.reading(one).tokens for one in (written("a red square"), written("a red sqrl")))
    assert torch.equal(person, policy)
    assert UNK in person


def test_the_gradient_penalty_holds_between_captions_as_they_are_read():
    """Of words that differ in one place alone, the penalty is that of the discriminator inside at the same words."""
    discriminator, images = retokenized(dropout=0.0), tiny.features()
    loss = Wasserstein(generated=1.0, mismatched=0.0, edited=0.0, gradient_penalty=10.0)
    person, policy = written("A red circle."), written("a blue circle")
    words = [captions_from_ids([[A, colour, CIRCLE, EOS]], [0]) for colour in (RED, BLUE)]
    found = []
    for judge, (real, generated) in ((discriminator, (person, policy)), (discriminator.discriminator, words)):
        torch.manual_seed(1)
        found.append(loss.penalty(judge, images, real=real, generated=generated))
    torch.testing.assert_close(*found)
    assert found[0] > 0


def test_dense_critics_and_relaxed_captions_are_refused():
    captions, images = written("a red circle"), tiny.features()
    for answer in (retokenized(DenseDiscriminator), retokenized(DenseDiscriminator).fast_score):
        with pytest.raises(UserError, match="one logit a caption, such as cnn"):
            answer(images, captions)
    weights = torch.nn.functional.one_hot(captions.tokens, len(SUBWORDS)).float()
    soft = SoftCaptions(captions.tokens, captions.lengths, captions.images, weights=weights)
    with pytest.raises(UserError, match="relaxed captions do not have"):
        retokenized()(images, soft)


def test_it_is_nobody_elses_reading():
    """Weights of the generator's words, and features of them, mean nothing to other words, be they as many."""
    inside = tiny.discriminator(CNNDiscriminator, vocabulary_size=tiny.VOCABULARY)
    words = WordTokenizer.of(["a"] + ["b"] * (tiny.VOCABULARY - EOS - 2))
    discriminator = RetokenizedDiscriminator(discriminator=inside, tokenizer=words, policy_tokenizer=words)
    with pytest.raises(ValueError, match="give initial_weights=random"):
        take_from_generator(discriminator, tiny.generators()[0])
    features = LeakedFeatures(vocabulary_size=tiny.VOCABULARY, embedding=8, filters=16, widths=[1, 2, 3, 4, 5])
    features.follow(inside)
    for whole in (discriminator, Calibrated(discriminator=discriminator)):
        with pytest.raises(UserError, match="RetokenizedDiscriminator has none"):
            features.follow(whole)


def test_weights_are_refused_that_were_learned_with_other_words():
    turned = WordTokenizer.of(list(reversed(WORDS.tokens[EOS + 1 :])))
    same, other = retokenized(tokenizer=WordTokenizer.of(WORDS.tokens[EOS + 1 :])), retokenized(tokenizer=turned)
    state = retokenized(instance_noise=0.0).state_dict()
    same.load_state_dict(state)
    with pytest.raises(UserError, match="learned with other tokens"):
        other.load_state_dict(state)


def test_a_discriminator_of_other_sizes_than_its_tokenizer_is_refused():
    inside = tiny.discriminator(CNNDiscriminator, vocabulary_size=len(WORDS))
    with pytest.raises(ValueError, match="reads 10 tokens, and its tokenizer has 4"):
        RetokenizedDiscriminator(discriminator=inside, tokenizer=WordTokenizer(min_count=1), policy_tokenizer=SUBWORDS)
