from __future__ import annotations

import pytest
import torch
from pycocoevalcap.cider.cider import Cider

from gan_caption.data.captions import EOS, UNK, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import UserError
from gan_caption.rewards.cider import CiderDReward
from gan_caption.rewards.references import References
from gan_caption.text.characters import CharacterTokenizer
from gan_caption.text.vocabulary import SPECIAL

CAPTIONS = ["一只红狗。", "一只 dog", "红狗"]


def test_characters_are_counted_and_ordered():
    assert CharacterTokenizer(min_count=2).learn(CAPTIONS).tokens == (*SPECIAL, "一", "只", "狗", "红")
    with pytest.raises(UserError, match="no character occurs 4 times"):
        CharacterTokenizer(min_count=4).learn(CAPTIONS)


def test_there_and_back_without_spaces():
    tokenizer = CharacterTokenizer(min_count=1).learn([*CAPTIONS, "a hot dog"])
    for text in ("一只红狗", "一只dog", "一只hot dog", "a hot dog"):
        ids = tokenizer.encode(text, max_length=20)
        assert ids[-1] == EOS
        assert UNK not in ids
        assert tokenizer.decode(ids) == text
    assert tokenizer.encode("一只猫", max_length=9) == [*tokenizer.encode("一只", max_length=2), UNK, EOS]
    assert tokenizer.decode(tokenizer.encode("一只猫", max_length=9)) == "一只<unk>"
    assert tokenizer.tokenized(["一只 dog！"]) == ["一 只 dog"]


def test_saved_and_loaded(tmp_path):
    tokenizer = CharacterTokenizer(min_count=2).learn(CAPTIONS)
    tokenizer.save(tmp_path / tokenizer.file)
    loaded = CharacterTokenizer(min_count=2).load(tmp_path / "vocabulary.json")
    assert (loaded.tokens, loaded.fingerprint) == (tokenizer.tokens, tokenizer.fingerprint)


def test_cider_d_as_a_reward_is_the_reference_tools_by_character(capsys):
    texts = [["一个红色的方形。", "红色的正方形"], ["一个蓝色的圆形", "蓝色 的 圆"], ["绿色的三角形", "一个绿色三角"]]
    tokenizer = CharacterTokenizer(min_count=1).learn([text for own in texts for text in own])
    references = References(texts, tokenizer, max_length=20)
    said = ["一个红色的圆形", "蓝色的圆", "一个蓝色三角形"]
    captions = captions_from_ids([tokenizer.encode(text, max_length=20) for text in said], [0, 1, 2])
    features = ImageFeatures(torch.zeros(3, 2), rows=torch.arange(3))
    found = CiderDReward(references=references)(features, captions)

    def apart(text: str) -> str:
        return " ".join([*text.replace("。", "").replace(" ", ""), "<eos>"])

    truth = {row: [apart(text) for text in own] for row, own in enumerate(texts)}
    _, scores = Cider().compute_score(truth, {row: [apart(text)] for row, text in enumerate(said)})
    assert found.tolist() == pytest.approx(list(scores), rel=1e-5)
    told = [tokenizer.decode(row) for row in references.captions(features).tokens.tolist()]
    assert told == ["一个红色的方形", "红色的正方形", "一个蓝色的圆形", "蓝色的圆", "绿色的三角形", "一个绿色三角"]
    capsys.readouterr()
