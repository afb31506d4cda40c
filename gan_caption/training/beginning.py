"""Begin with the captioner of another run: its weights, and its vocabulary with the new tokens of these captions.

Rows of known tokens are kept. Each new token begins as the mean of the known ones of these captions, as an input and as
an output: its probability is at first about theirs, not what a random vector happens to give (Hewitt 2021, Initializing
New Word Embeddings for Pretrained Language Models, takes the mean of all). Each counts as often as it stands there: the
mean of a whole vocabulary, of mostly rare words, is less probable than any word that people write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gan_caption.configuration.settings import Settings
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.text.base import Tokenizer
from gan_caption.text.vocabulary import SPECIAL
from gan_caption.training.checkpoint import read_weights
from gan_caption.training.folders import best_weights, read_settings, within
from gan_caption.training.identity import flattened
from gan_caption.training.networks import EncoderDecoder
from gan_caption.training.tokenizers import load_tokenizer

_NAMED = 10
"""New tokens that are told by name."""


@dataclass(frozen=True)
class Beginning:
    """What a run begins with."""

    folder: Path
    """Of the other run."""
    phase: str
    """That left the weights."""
    tokenizer: Tokenizer
    """The other run's."""
    weights: Path
    """Of its captioner."""

    def extended(self, learned: Tokenizer) -> Tokenizer:
        """Return the tokenizer with what was learned from these captions behind what it knows, and say so.

        Raises:
            UserError: it is of another kind.
        """
        tokenizer = self.tokenizer.extended(learned)
        new = [tokenizer.decode([index]) for index in range(len(self.tokenizer), len(tokenizer))]
        named = f": {' '.join(new[:_NAMED])}{' ...' if len(new) > _NAMED else ''}" if new else ""
        say(f"begins with {self.folder} ({self.phase}): {len(self.tokenizer)} tokens, and {len(new)} new ones{named}")
        return tokenizer

    def load(
        self, captioner: EncoderDecoder, tokenizer: Tokenizer, captions: Iterable[Sequence[str]], *, max_length: int
    ) -> None:
        """Give a captioner the weights.

        Args:
            captioner: of this run.
            tokenizer: of this run; see `extended`.
            captions: of each training image.
            max_length: of a caption, in tokens.

        Raises:
            UserError: they do not fit.
        """
        own = captioner.state_dict()
        tensors = read_weights(captioner, self.weights, vocabulary=self.tokenizer.fingerprint)
        if tensors.keys() != own.keys():
            other = min(tensors.keys() ^ own.keys())
            raise UserError(f"begin_from={self.folder}: one of both captioners has {other}, the other has not: give "
                            "its generator=... and encoder=...")  # fmt: skip
        texts = (text for own in captions for text in own)
        told = Counter(token for text in texts for token in tokenizer.encode(text, max_length=max_length))
        shares = torch.tensor([told[token] if token >= len(SPECIAL) else 0 for token in range(len(self.tokenizer))])
        shares = shares.float() if shares.any() else torch.ones(len(shares))
        new = len(tokenizer) - len(self.tokenizer)
        captioner.load_state_dict({name: self._fitted(name, own[name], tensors[name], new, shares) for name in own})

    def _fitted(self, name: str, own: Tensor, tensor: Tensor, new: int, shares: Tensor) -> Tensor:
        """Return a tensor with rows of the new tokens, where it has a row a token.

        Output layers leave out special tokens that are never written, which are the first.
        """
        known = len(shares)
        if own.shape == tensor.shape:
            return tensor
        a_row_a_token = tensor.dim() > 0 and known - len(SPECIAL) <= len(tensor) <= known
        if not a_row_a_token or own.shape != (len(tensor) + new, *tensor.shape[1:]):
            raise UserError(
                f"begin_from={self.folder}: its {name} is {tuple(tensor.shape)}, here {tuple(own.shape)}: give the "
                "sizes that it was trained with"
            )
        shares = shares[known - len(tensor) :]
        mean = torch.tensordot(shares / shares.sum(), tensor.float(), dims=1).to(tensor.dtype)
        return torch.cat([tensor, mean.expand(new, *tensor.shape[1:])])


def beginning_of(settings: Settings) -> Beginning | None:
    """Return what a run begins with, where it is asked to begin with another; known before anything is computed.

    Raises:
        UserError: the folder holds no run that has validated, or its generator is another one.
    """
    folder = settings.begin_from
    if folder is None:
        return None
    theirs = read_settings(folder, allow=settings.allow)
    phases = [
        name for name in theirs.phases
        if within(folder, best_weights(folder, name)).exists()
    ]  # fmt: skip
    if not phases:
        raise UserError(f"begin_from={folder}: no phase has validated yet, there are no weights to begin with")
    for key, there, here in _differences(theirs.generator.node, settings.generator.node):
        raise UserError(f"begin_from={folder}: its generator.{key} is {there}, here {here}: give the same generator")
    return Beginning(folder, phases[-1], load_tokenizer(theirs, folder), best_weights(folder, phases[-1]))


def _differences(one: object, other: object) -> Iterable[tuple[str, object, object]]:
    """Yield the settings in which two nodes differ, but for what only training looks at."""
    there, here = (flattened(dict(node)) for node in (one, other))  # type: ignore[call-overload]
    for key in dict.fromkeys([*there, *here]):
        if "dropout" not in key and there.get(key) != here.get(key):
            yield key, there.get(key), here.get(key)
