"""Captions counted by character: the tokens by hand, and that text reads back as its tokens whatever it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_caption.metrics.characters import NO_SPACE, character_tokenize, characters

BY_HAND = {
    "一个红色的正方形。": "一 个 红 色 的 正 方 形",
    "一只 dog 在草地上，跑！": "一 只 dog 在 草 地 上 跑",
    "穿T恤的人": "穿 t 恤 的 人",
    "猫が２匹、ﾏｯﾄの上": "猫 が 2 匹 マ ッ ト の 上",  # full-width 2, half-width kana
    "ＤＯＧとｶﾞﾗｽ": "dog と ガ ラ ス",
    "ラーメン・餃子": "ラ ー メ ン 餃 子",
    "หมาสองตัว": "ห ม า ส อ ง ตั ว",  # a vowel sign stays with its consonant
    "3.5米高的t-shirt": "3.5 米 高 的 t-shirt",
    "a man’s dog": "a man's dog",
    "Ein Café über 2 Häusern.": "ein café über 2 häusern",
    "𠮷野家 👍+1": "𠮷 野 家 👍 + 1",
    "<unk>色<unk>dog": "<unk> 色 <unk> dog",
    "。！ \n\u3000 ...": "",
    "\u0301一\ud800二\x00": "一 二",  # a mark of nothing, half a character, a control
}


@pytest.mark.parametrize("text", BY_HAND)
def test_by_hand(text):
    assert character_tokenize([text, "一"]) == [BY_HAND[text], "一"]


ALPHABET = st.one_of(
    st.characters(),
    st.sampled_from("一红色がｶﾞあตัว3.5-' \u2019。<unk>aéİßDog\u0301\u3099\u1100\u1161\u11a8\uac00"),
)


@given(st.text(ALPHABET, max_size=30))
def test_text_without_the_spaces_reads_back_as_the_same_tokens(text):
    tokens = characters(text)
    spaced = " ".join(tokens)
    assert all(token.split() == [token] for token in tokens)
    assert characters(spaced) == tokens
    written = re.sub(NO_SPACE, "", spaced)
    assert characters(written) == tokens


@pytest.mark.parametrize("mark", ["\u0301", "\u0301\u0323", "\u0f73", "\uff9e", "\u1161"])
def test_marks_without_end_end(mark):
    """Normalisation sorts a run of marks in a time that grows by its square: a megabyte would take half an hour."""
    (token,) = characters("一" + mark * 300_000)
    assert token.startswith("一")
    assert len(token) < 100 or mark == "\u1161", "Korean vowels are no marks that are sorted"
    assert characters("กี่" * 40) == characters("กี่") * 40


def test_text_has_spaces_between_latin_words_alone():
    told = ["一只 hot dog 在 3 个 t-shirt 上", "红 色 的 形", "a red dog", "dog 一"]
    assert [re.sub(NO_SPACE, "", text) for text in told] == [
        "一只hot dog在3个t-shirt上",
        "红色的形",
        "a red dog",
        "dog一",
    ]
