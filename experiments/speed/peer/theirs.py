"""The peer's captioner, called as its own training and evaluation scripts call it; nothing of it is here.

Its words: 0 begins, ends and fills up; ours follow from 1 on, from the one after `<eos>`.
"""

from __future__ import annotations

import importlib
import io
import pickle
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import redirect_stdout
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from experiments.speed.workload import CHANNELS, DROPOUT, SIZE
from gan_caption.data.captions import EOS, UNK, Captions
from gan_caption.data.features import ImageFeatures

CLIP = 0.1
"""Of each number of a gradient, as its `opts.py` has it."""
AT_ONCE = 50
"""Images that its beam search is given: with 200, the probabilities that it keeps of every step cost it up to 40%."""
NGRAMS = 4
NEVER = -1e4
"""A logit."""


class Theirs:
    """A model of the peer's, with its losses and Adam."""

    def __init__(self, kind: str, *, words: int, samples: int, references: Sequence[np.ndarray], rate: float) -> None:
        """Build the model; the checkout must be on Python's path (see `open_checkout`).

        Args:
            kind: as its `caption_model` names it.
            words: V of ours.
            samples: of an image, in a self-critical step.
            references: of the images of such a step, (5, T) ids each.
            rate: of learning.
        """
        losses = importlib.import_module("captioning.modules.losses")
        told = options(kind, words=words, samples=samples)
        self.model: Any = importlib.import_module("captioning.models").setup(told)
        self.likelihood_loss, self.structure_loss = losses.LanguageModelCriterion(), losses.StructureLosses(told)
        self.samples, self.references = samples, references
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate)

    def likelihood(self, features: ImageFeatures, captions: Captions) -> None:
        """Do an update by maximum likelihood."""
        labels, masks = labelled(captions, images=len(features))
        predicted = self.model.train()(*inputs(features), labels[..., :-1], None)
        self._descend(self.likelihood_loss(predicted, labels[..., 1:], masks[..., 1:]))

    def self_critical(self, features: ImageFeatures) -> None:
        """Do a self-critical update whose baseline is the image's other samples."""
        asked = {"sample_method": "sample", "beam_size": 1, "output_logsoftmax": 1, "sample_n": self.samples}
        with ending(self.model.logit, at=self.model.seq_length):
            sampled, log_probs = self.model.train()(*inputs(features), None, opt=asked, mode="sample")
        with redirect_stdout(io.StringIO()):  # it prints each mean reward
            loss = self.structure_loss(log_probs, sampled, self.references)["loss"]
        self._descend(loss)

    def greedy(self, features: ImageFeatures) -> Tensor:
        """Return the words (N, T)."""
        with ending(self.model.logit, at=self.model.seq_length):
            return self._decode(features, {"sample_method": "greedy", "beam_size": 1, "sample_n": 1})

    def beam(self, features: ImageFeatures, *, beams: int) -> Tensor:
        """Return the words (N, T) of the best beams, which are searched for in parts: see `AT_ONCE`."""
        asked = {"sample_method": "greedy", "beam_size": beams, "sample_n": 1}
        parts = torch.arange(len(features)).split(AT_ONCE)
        return torch.cat([self._decode(features.select(part), asked) for part in parts])

    def write_for(self, length: int) -> None:
        """Let every caption be of so many words: none ends before."""
        self.model.seq_length = length
        never(self.model.logit, 0)

    @torch.no_grad()
    def _decode(self, features: ImageFeatures, asked: dict[str, Any]) -> Tensor:
        words: Tensor = self.model.eval()(*inputs(features), None, opt=asked, mode="sample")[0]
        return words

    def _descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(self.model.parameters(), CLIP)
        self.optimizer.step()


def open_checkout(checkout: Path, *, frequencies: Path) -> None:
    """Put the peer on Python's path and give its CIDEr-D the document frequencies, from `write_frequencies`.

    Raises:
        SystemExit: there is no such checkout, or it lacks its submodule `cider`.
    """
    for needed in ("captioning/models/__init__.py", "cider/pyciderevalcap/ciderD/ciderD.py"):
        if not (checkout / needed).exists():
            raise SystemExit(
                f"peer={checkout}: there is no {needed}. Give a checkout of self-critical.pytorch with its submodules: "
                "git clone --recursive https://github.com/ruotianluo/self-critical.pytorch"
            )
    sys.path += [str(checkout), str(checkout / "cider"), str(checkout / "coco-caption")]
    # It looks for <df>.p in its folder data/, unless the path is a whole one.
    importlib.import_module("captioning.utils.rewards").init_scorer(str(frequencies.absolute().with_suffix("")))


def write_frequencies(references: Sequence[np.ndarray], path: Path) -> None:
    """Write in how many images' references each n-gram occurs, as the peer's CIDEr-D reads it.

    Args:
        references: of every image, (5, T) ids; 0 ends a caption, and counts as its last word.
        path: of the file, whose name ends in `.p`.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for own in references:
        texts = [[str(word) for word in row[: 1 + np.argmin(row)]] for row in own]
        counts.update({
            tuple(text[first : first + size])
            for text in texts for size in range(1, NGRAMS + 1) for first in range(len(text) - size + 1)
        })  # fmt: skip
    told = {"document_frequency": defaultdict[tuple[str, ...], float](float, counts), "ref_len": len(references)}
    path.write_bytes(pickle.dumps(told))


def options(kind: str, *, words: int, samples: int) -> SimpleNamespace:
    """Return what the peer's models and losses read of its options, with the sizes of ours."""
    theirs = words - EOS - 1  # it counts neither <eos> nor what is never written
    return SimpleNamespace(
        caption_model=kind, vocab_size=theirs, vocab={str(word): f"w{word}" for word in range(1, theirs + 1)},
        input_encoding_size=SIZE, rnn_size=SIZE, att_hid_size=SIZE, num_layers=1, drop_prob_lm=DROPOUT, use_bn=0,
        logit_layers=1, fc_feat_size=CHANNELS, att_feat_size=CHANNELS, seq_length=20, max_length=20,
        structure_loss_type="new_self_critical", train_sample_n=samples, cider_reward_weight=1.0,
        bleu_reward_weight=0.0, entropy_reward_weight=0.0, self_cider_reward_weight=0.0,
    )  # fmt: skip


def inputs(features: ImageFeatures) -> tuple[Tensor, Tensor]:
    """Return the peer's two kinds of features; a model without attention is given a grid of one number."""
    grid = features.grid if features.grid is not None else features.pooled.new_zeros(len(features), 1, 1)
    return features.pooled, grid


def ids(tokens: Tensor) -> Tensor:
    """Return the peer's ids of our tokens; an unknown word counts as its first."""
    return torch.where(tokens == UNK, 1, (tokens - EOS).clamp(min=0))


def labelled(captions: Captions, *, images: int) -> tuple[Tensor, Tensor]:
    """Return ids (B, K, T + 1) after a zero, and which of them count.

    There is no zero after the last: where a caption was cut, the peer would predict what follows it, and not learn it.
    """
    padded = nn.functional.pad(ids(captions.tokens), (1, 0))
    counted = torch.arange(padded.shape[1], device=padded.device) <= captions.lengths[:, None]
    return padded.unflatten(0, (images, -1)), counted.float().unflatten(0, (images, -1))


@torch.no_grad()
def never(output: nn.Linear, word: int) -> None:
    """Let a layer never choose a word."""
    output.bias[word] = NEVER


def ending(output: nn.Linear, *, at: int) -> RemovableHandle:
    """Let a layer choose 0 when it is called for the `at`th time; the handle takes that back.

    The peer samples until all captions have ended. Where they have not in `seq_length` words, it computes one word
    more, which it throws away.
    """
    calls = count(1)

    def choose(layer: nn.Module, read: tuple[Tensor, ...], logits: Tensor) -> None:
        del layer, read
        if next(calls) == at:
            logits[:, 0] = -NEVER

    return output.register_forward_hook(choose)
