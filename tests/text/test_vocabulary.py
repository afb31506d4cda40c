from __future__ import annotations

import pytest

from gan_caption.data.captions import EOS, UNK
from gan_caption.errors import UserError
from gan_caption.text.vocabulary import SPECIAL
from gan_caption.text.words import WordTokenizer


def test_words_are_counted_and_ordered():
    vocabulary = WordTokenizer(min_count=2).learn(["a dog runs", "a dog", "a cat"])
    assert vocabulary.tokens == (*SPECIAL, "a", "dog")


def test_there_and_back():
    vocabulary = WordTokenizer.of(["a", "dog", "runs"])
    assert vocabulary.encode("a dog flies", max_length=10) == [4, 5, UNK, EOS]
    assert vocabulary.decode([4, 5, 6, EOS, 4, 4]) == "a dog runs"
    assert vocabulary.decode([1, 4, 0, 0]) == "a"


def test_special_tokens_in_a_caption_are_unknown_words():
    vocabulary = WordTokenizer(min_count=1).learn(["a <unk> dog <eos>", "a <pad> <bos> dog"])
    assert vocabulary.tokens == (*SPECIAL, "a", "dog")
    assert vocabulary.encode("a <eos> <pad> <bos> <unk> dog", max_length=10) == [4, UNK, UNK, UNK, UNK, 5, EOS]
    with pytest.raises(UserError, match="no word occurs"):
        WordTokenizer(min_count=1).learn(["<eos>"])


def test_a_long_caption_is_cut_and_has_no_end():
    assert WordTokenizer.of(["a"]).encode("a a a a", max_length=3) == [4, 4, 4]
    assert WordTokenizer.of(["a"]).encode("a a", max_length=3) == [4, 4, EOS]


def test_saved_and_loaded(tmp_path):
    vocabulary = WordTokenizer.of(["café", "dog"])
    vocabulary.save(tmp_path / "v.json")
    loaded = WordTokenizer(min_count=1).load(tmp_path / "v.json")
    assert loaded.tokens == vocabulary.tokens
    assert loaded.fingerprint == vocabulary.fingerprint != WordTokenizer.of(["dog", "café"]).fingerprint


@pytest.mark.parametrize("content", ["", "{}", '["a", 3]', '["a"'])
def test_a_file_that_is_no_vocabulary(tmp_path, content):
    path = tmp_path / "v.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"v\.json"):
        WordTokenizer(min_count=1).load(path)


def test_a_count_that_no_word_reaches():
    with pytest.raises(UserError, match="min_count"):
        WordTokenizer(min_count=2).learn(["a b c"])
