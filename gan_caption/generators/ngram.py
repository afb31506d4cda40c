"""An n-gram language model as a generator: p(word | the n - 1 words before it), whatever the image.

Interpolated with the weights of Witten and Bell 1991 (in the form of Chen and Goodman 1999, "An empirical study of
smoothing techniques for language modeling"). With h a context, h' the same without its first word, c(h) how often h was
followed by anything and T(h) by how many different words:

    p(w | h) = (c(h w) + T(h) p(w | h')) / (c(h) + T(h))

A context that was never seen passes the question on: p(w | h) = p(w | h'). Of single words every one that may be
written is counted once more than it occurs, so that none is impossible.

Shapes: N partial captions, n the order, V vocabulary, W = V - first_word words that may be written, C contexts of a
length, E the different words seen after them, summed over contexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from gan_caption.data.captions import BOS, EOS, UNK, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import UserError, at_least
from gan_caption.files import write_atomically
from gan_caption.generators.base import Generator
from gan_caption.generators.state import TensorState
from gan_caption.untrusted.parsing import briefly, shown

_PARTS = ("keys", "begins", "words", "counts")
"""The tensors of the contexts of one length."""
_MOST = 2**40
"""No n-gram was counted as often; sums of such counts keep within 64 bits."""


class NgramGenerator(Generator[TensorState]):
    """Counts of words after words. There is nothing to train by gradients; `learn` makes one from captions."""

    unigrams: Tensor
    shares: Tensor

    def __init__(
        self, *, unigrams: Tensor, contexts: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]],
        generate_unknown: bool = False,
    ) -> None:  # fmt: skip
        """Take counts; `learn` and `load` are the usual ways.

        Args:
            unigrams: (V,) long, how often each token was seen.
            contexts: for contexts of 1, 2, ... n - 1 words: their keys (C,) long, ascending; where the words that
                follow each of them begin (C + 1,) long; these words (E,) long; how often each followed (E,) long.
            generate_unknown: whether `<unk>` may be written.
        """
        super().__init__(vocabulary_size=len(unigrams), generate_unknown=generate_unknown)
        self.order = len(contexts) + 1
        self.register_buffer("unigrams", unigrams)
        self.contexts = nn.ModuleList(_Contexts(*one) for one in contexts)
        counts = unigrams[self.first_word :].double() + 1
        self.register_buffer("shares", (counts / counts.sum()).float(), persistent=False)  # (W,)

    @classmethod
    def learn(
        cls, captions: Sequence[Sequence[int]], *, vocabulary_size: int, order: int, generate_unknown: bool = False
    ) -> NgramGenerator:
        """Count the n-grams of captions.

        Args:
            captions: token ids as `Tokenizer.encode` gives them, `<eos>` included where the caption has one. Words
                that may not be written are context alone, never counted as the word that follows.
            vocabulary_size: V.
            order: n, at least 1.
            generate_unknown: whether `<unk>` may be written.

        Raises:
            ValueError: the order is below 1, or V ** (n - 1) contexts have no 64-bit number each.
            UserError: there are no captions, or no word in them that may be written.
        """
        at_least(1, order=order)
        if vocabulary_size ** (order - 1) >= 2**63:
            raise ValueError(f"order={order}: too high for {vocabulary_size} words, whose contexts are 64-bit numbers")
        if not captions:
            raise UserError("no captions to learn an n-gram model from: give at least one")
        grams = np.concatenate([_ngrams(caption, order) for caption in captions])  # (tokens, n)
        grams = grams[grams[:, -1] >= (UNK if generate_unknown else EOS)]
        if not len(grams):
            raise UserError("captions to learn an n-gram model from hold no word that may be written: give others")
        words = grams[:, -1]
        contexts = []
        for size in range(1, order):
            keys = _keys(torch.from_numpy(grams[:, order - 1 - size : -1]), vocabulary_size).numpy()
            seen, own = np.unique(keys, return_inverse=True)
            pairs, counts = np.unique(own * vocabulary_size + words, return_counts=True)
            begins = np.searchsorted(pairs // vocabulary_size, np.arange(len(seen) + 1))
            contexts.append(tuple(map(torch.from_numpy, (seen, begins, pairs % vocabulary_size, counts))))
        unigrams = torch.from_numpy(np.bincount(words, minlength=vocabulary_size))
        return cls(unigrams=unigrams, contexts=contexts, generate_unknown=generate_unknown)  # type: ignore[arg-type]

    def start(self, features: ImageFeatures, max_length: int) -> TensorState:
        """Return nothing but beginnings, one row an image."""
        del max_length
        size, device = (len(features), self.order - 1), self.unigrams.device
        return TensorState((torch.full(size, BOS, dtype=torch.long, device=device),))

    def step(self, tokens: Tensor, state: TensorState, rows: Tensor | None = None) -> tuple[Tensor, TensorState]:
        """Read one token a row, (N,) long; see `Generator.step`. The logits are log-probabilities."""
        history = state.own[0] if rows is None else state.own[0].index_select(0, rows)
        history = torch.cat([history, tokens[:, None]], 1)[:, 1:]
        return self._log_probs(history), state.after((history,), rows)

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens; see `Generator.logits`."""
        del features
        size = self.order - 1
        grams = nn.functional.pad(captions.tokens, (size, 0), value=BOS).unfold(1, self.order, 1)  # (N, T, n)
        histories = grams[..., :size]
        return self._log_probs(captions.packed(histories))

    def _log_probs(self, history: Tensor) -> Tensor:
        """Return log p of every word that may be written (N, W) after the last words (N, n - 1)."""
        left = torch.ones(len(history), device=history.device)  # the weight of what shorter contexts say
        seen = []
        for size in range(self.order - 1, 0, -1):
            keys = _keys(history[:, -size:], self.vocabulary_size)
            rows, words, shares, passed_on = self.contexts[size - 1](keys)
            seen.append((rows * len(self.shares) + words - self.first_word, left[rows] * shares))
            left = left * passed_on
        probabilities = left[:, None] * self.shares
        for places, shares in seen:
            probabilities.view(-1).index_add_(0, places, shares)
        return probabilities.log()

    def save(self, path: Path, *, vocabulary: str) -> None:
        """Write the counts as safetensors.

        Args:
            path: of the file.
            vocabulary: the fingerprint of the vocabulary that the ids belong to.

        Raises:
            UserError: it cannot be written.
        """
        told = {"vocabulary": vocabulary, "order": str(self.order), "generate_unknown": str(self.first_word == UNK)}
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.state_dict().items()}
        content = save(tensors, metadata=told)
        write_atomically(path, lambda file: file.write(content))

    @classmethod
    def load(cls, path: Path, *, vocabulary: str) -> NgramGenerator:
        """Read what `save` wrote.

        Args:
            path: of the file.
            vocabulary: the fingerprint that it must have.

        Raises:
            UserError: the file is missing, is no n-gram model, or is one of another vocabulary.
        """
        try:
            with safe_open(path, framework="pt") as file:
                told = file.metadata() or {}
            tensors = load_file(path)
            order = int(told["order"])
            if order != 1 + len(tensors) // len(_PARTS):
                raise ValueError(f"its order is {briefly(order)}, and its tensors are {len(tensors)}")
            contexts = [tuple(tensors[f"contexts.{place}.{name}"] for name in _PARTS) for place in range(order - 1)]
            unigrams, generate_unknown = tensors["unigrams"], told["generate_unknown"] == "True"
            _check_counts(unigrams, contexts, first_word=UNK if generate_unknown else EOS)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise UserError(
                f"{path} cannot be read as an n-gram model ({str(error)[:300]}): give a file that NgramGenerator.save "
                "wrote"
            ) from error
        if told.get("vocabulary") != vocabulary:
            raise UserError(
                f"{path} belongs to another vocabulary ({shown(str(told.get('vocabulary')))}, this one is "
                f"{vocabulary}): its token ids mean other words. Learn one from captions in this vocabulary"
            )
        return cls(unigrams=unigrams, contexts=contexts, generate_unknown=generate_unknown)  # type: ignore[arg-type]


class _Contexts(nn.Module):
    """The contexts of one length, and what followed them."""

    keys: Tensor
    begins: Tensor
    words: Tensor
    counts: Tensor
    passed_on: Tensor
    shares: Tensor

    def __init__(self, keys: Tensor, begins: Tensor, words: Tensor, counts: Tensor) -> None:
        super().__init__()
        for name, tensor in (("keys", keys), ("begins", begins), ("words", words), ("counts", counts)):
            self.register_buffer(name, tensor)
        kinds = begins.diff()  # (C,): T(h)
        totals = torch.zeros(len(keys), dtype=torch.long)  # c(h)
        totals.index_add_(0, torch.arange(len(keys)).repeat_interleave(kinds), counts)
        weights = (kinds + totals).double()
        self.register_buffer("passed_on", (kinds / weights).float(), persistent=False)
        self.register_buffer("shares", (counts / weights.repeat_interleave(kinds)).float(), persistent=False)

    def forward(self, keys: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Look contexts up by their keys (N,).

        Returns:
            rows, words and shares c(h w) / (c(h) + T(h)), one each for every word that was seen after a row's context;
            and T(h) / (c(h) + T(h)) of every row (N,), 1 where its context was never seen.
        """
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        known = self.keys[place] == keys
        sizes = (self.begins[place + 1] - self.begins[place]) * known
        rows = torch.arange(len(keys), device=keys.device).repeat_interleave(sizes)
        within = torch.arange(len(rows), device=keys.device) - (sizes.cumsum(0) - sizes)[rows]
        entries = self.begins[place][rows] + within
        return rows, self.words[entries], self.shares[entries], torch.where(known, self.passed_on[place], 1.0)


def _check_counts(unigrams: Tensor, contexts: Sequence[tuple[Tensor, ...]], *, first_word: int) -> None:
    """Refuse counts that contradict each other, before any is taken for a size or a place.

    Raises:
        ValueError: a tensor has another form, or its numbers are impossible.
    """
    size = unigrams.numel()
    for tensor in (unigrams, *(one for own in contexts for one in own)):
        if tensor.dtype != torch.long or tensor.dim() != 1:
            raise ValueError("its counts are not lists of whole numbers")
    if size <= EOS or unigrams.min() < 0 or size ** len(contexts) >= 2**63 or not 0 <= unigrams.sum() < _MOST:
        raise ValueError("its counts of single words are impossible")
    for length, (keys, begins, words, counts) in enumerate(contexts, 1):
        # `begins` ends with the number of entries, so these sizes bound all that is made of them. Neighbours are
        # compared, for a difference of two may go around.
        rising = len(begins) == len(keys) + 1 and begins[0] == 0 and bool((begins[1:] > begins[:-1]).all())
        if not len(keys) or not rising or begins[-1] != len(words) or len(words) != len(counts):
            raise ValueError(f"its contexts of {length} words do not fit what follows them")
        known = keys[0] >= 0 and keys[-1] < size**length and bool((keys[1:] > keys[:-1]).all())
        possible = words.min() >= first_word and words.max() < size and counts.min() >= 1 and counts.max() < _MOST
        if not known or not possible:
            raise ValueError(f"its counts after contexts of {length} words are impossible")


def _ngrams(caption: Sequence[int], order: int) -> np.ndarray:
    """Return every token of a caption behind the n - 1 before it: (tokens, n)."""
    padded = np.array([BOS] * (order - 1) + list(caption), dtype=np.int64)
    return np.lib.stride_tricks.sliding_window_view(padded, order)


def _keys(words: Tensor, vocabulary_size: int) -> Tensor:
    """Return a number for each run of words (N, m): (N,), different for different words."""
    keys = torch.zeros(len(words), dtype=torch.long, device=words.device)
    for word in words.unbind(1):
        keys = keys * vocabulary_size + word
    return keys
