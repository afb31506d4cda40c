"""Weights and n-gram models: safetensors."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from experiments.fuzzing.refusals import reading
from gan_caption.data.captions import captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.ngram import NgramGenerator
from gan_caption.training.checkpoint import load_weights, save_weights

READERS = {"load_weights", "NgramGenerator"}
PATH = Path(tempfile.mkdtemp()) / "weights.safetensors"
NETWORK = nn.Linear(2, 3)
CAPTIONS = captions_from_ids([[4, 5, 3], [6, 3]], [0, 1])
FEATURES = ImageFeatures(pooled=torch.zeros(2, 1))


def seeds() -> dict[str, bytes]:
    save_weights(NETWORK, PATH, vocabulary="words")
    made = {"saved": PATH.read_bytes()}
    model = NgramGenerator.learn([[4, 5, 3], [6, 4, 5, 3]], vocabulary_size=7, order=3)
    model.save(PATH, vocabulary="words")
    made["ngrams"] = PATH.read_bytes()
    counts = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, tensor in counts.items():
        for place, number in ((0, -1), (-1, 2**40), (0, 2**62)):
            changed = tensor.clone()
            changed[place] = number
            made[f"{name}_{place}_{number}"] = _ngrams(counts | {name: changed})
        made[f"{name}_as_floats"] = _ngrams(counts | {name: tensor.float()})
        made[f"{name}_square"] = _ngrams(counts | {name: tensor[None]})
        made[f"{name}_scalar"] = _ngrams(counts | {name: tensor[0]})
        made[f"{name}_empty"] = _ngrams(counts | {name: tensor[:0]})
        made[f"{name}_shorter"] = _ngrams(counts | {name: tensor[:-1]})
    for order in ("0", "-5", "1", "2", "1" * 10_000, "x", "999999999"):
        made[f"order_{order[:9]}"] = _ngrams(counts, order=order)
    made["of_three_words"] = _ngrams(counts | {"unigrams": counts["unigrams"][:3]})
    made["claims_a_long_header"] = (2**40).to_bytes(8, "little") + b"{}"
    made["deep_header"] = (100_000).to_bytes(8, "little") + b'{"a":' * 20_000
    claim = b'{"weight": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 8]}}'
    made["claims_a_large_tensor"] = len(claim).to_bytes(8, "little") + claim + bytes(8)
    return made


def _ngrams(tensors: dict[str, torch.Tensor], order: str = "3") -> bytes:
    about = {"vocabulary": "words", "order": order, "generate_unknown": "False"}
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata=about)


def one_input(data: bytes) -> set[str]:
    taken: set[str] = set()
    PATH.write_bytes(data)
    with reading("load_weights", taken):
        load_weights(NETWORK, PATH, vocabulary="words")
    with reading("NgramGenerator", taken):
        model = NgramGenerator.load(PATH, vocabulary="words")
        if model.vocabulary_size > 6:  # the ids of the captions above exist
            logits = model.logits(FEATURES, CAPTIONS)
            assert torch.isfinite(logits).all()
            assert torch.allclose(logits.exp().sum(1), torch.ones(len(logits)), atol=1e-3)
    return taken
