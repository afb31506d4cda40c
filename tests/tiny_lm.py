"""Tiny language models with random weights, in folders as `save_pretrained` writes them, and a tokenizer of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from gan_caption.torchvision_import import import_torchvision

import_torchvision()  # transformers imports it

import tokenizers  # noqa: E402
from tokenizers.decoders import ByteLevel as BytesDecoder  # noqa: E402
from tokenizers.models import BPE  # noqa: E402
from tokenizers.pre_tokenizers import ByteLevel  # noqa: E402
from tokenizers.trainers import BpeTrainer  # noqa: E402
from transformers import (  # noqa: E402
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

Kind = Literal["gpt2", "llama"]
CAPTIONS = [
    "A small red circle is above a blue square.",
    "Two large green triangles stand beside a yellow star.",
    "There's a dog, and it isn't running.",
    "the red square",
]


def write_tokenizer(folder: Path, kind: Kind, *, size: int = 300) -> None:
    """Byte-level BPE; GPT-2's one special token comes last, as it has it, and Llama's three come first."""
    special = ["<|endoftext|>"] if kind == "gpt2" else ["<unk>", "<s>", "</s>"]
    own = tokenizers.Tokenizer(BPE())
    own.pre_tokenizer, own.decoder = ByteLevel(add_prefix_space=False), BytesDecoder()
    trainer = BpeTrainer(
        vocab_size=size - (kind == "gpt2"), initial_alphabet=ByteLevel.alphabet(), show_progress=False,
        special_tokens=special if kind == "llama" else [],
    )  # fmt: skip
    own.train_from_iterator(CAPTIONS, trainer)
    if kind == "gpt2":
        roles = {"bos_token": special[0], "eos_token": special[0]}
    else:
        roles = {"unk_token": special[0], "bos_token": special[1], "eos_token": special[2]}
    PreTrainedTokenizerFast(tokenizer_object=own, **roles).save_pretrained(folder)


def write_model(folder: Path, kind: Kind, *, seed: int = 0, positions: int = 64, words: int = 304) -> Path:
    """A model of 2 layers, with rows for more words than the tokenizer has, as models have them."""
    write_tokenizer(folder, kind)
    torch.manual_seed(seed)
    if kind == "gpt2":
        last = 299  # the tokenizer's own, behind the words
        config = GPT2Config(
            vocab_size=words, n_positions=positions, n_embd=16, n_layer=2, n_head=2, initializer_range=0.4,
            bos_token_id=last, eos_token_id=last,
        )  # fmt: skip
        model = GPT2LMHeadModel(config)
    else:
        config = LlamaConfig(
            vocab_size=words, max_position_embeddings=positions, hidden_size=16, intermediate_size=24,
            num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False,
            initializer_range=0.4,
        )  # fmt: skip
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return folder
