"""How probable a pretrained language model finds texts. Shapes: N texts, T of its tokens, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from gan_caption.errors import UserError, at_least
from gan_caption.text.pretrained_models import Source, check_rows, ends_of, find_model, load_causal_lm, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_BRACKETS = {"-lrb-": "(", "-rrb-": ")", "-lsb-": "[", "-rsb-": "]", "-lcb-": "{", "-rcb-": "}"}
"""As the Penn Treebank writes them."""


class TextJudge:
    """A pretrained causal language model that tells log p of whole texts.

    It reads its own start token (its end token where it has none, as GPT-2), which costs nothing, then the text, then
    its end token. The end is counted: else "a man on a" would be more probable than every caption that it begins, and
    a policy that is rewarded would break off.
    """

    def __init__(self, model: str, *, device: torch.device, chunk_tokens: int = 1024) -> None:
        """Name the model; it is found and loaded when it is first asked.

        Args:
            model: see `text.pretrained_models`.
            device: where it shall live.
            chunk_tokens: the most tokens that are read at once, padding counted; a longer text is read alone. Does not
                change the result. They take chunk_tokens * V * 8 bytes: 0.4 GB of 1024 and 49,152.
        """
        at_least(1, chunk_tokens=chunk_tokens)
        self.model = model
        self.device = device
        self.chunk_tokens = chunk_tokens

    @cached_property
    def source(self) -> Source:
        """Where the model comes from; see `find`."""
        return find_model(self.model)

    def find(self) -> Source:
        """Look for the model now, which is done once.

        Raises:
            UserError: a package is missing, or there is no such model.
        """
        return self.source

    @cached_property
    def _network(self) -> PreTrainedModel:
        model = load_causal_lm(self.source)
        nn.Module.to(model, self.device)
        return model

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return log p of texts in nats, (N,) float64, the end counted; what is said several times is read once.

        Raises:
            UserError: the model cannot be found or loaded, has no end token or no vectors of a token, or a text is
                longer than it can read.
        """
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        ids = self._encoded(list(places))
        log_probs = torch.zeros(len(ids), dtype=torch.float64)
        for rows in self._chunks(ids):
            log_probs[rows] = self._log_probs([ids[row] for row in rows])
        order = torch.tensor([places[text] for text in texts], dtype=torch.long)
        return log_probs[order]

    def _encoded(self, texts: list[str]) -> list[list[int]]:
        """Return each text as the model's ids, its start and its end around it."""
        if not texts:
            return []
        tokenizer = load_tokenizer(self.source)
        start, end = ends_of(tokenizer, self.source)
        told = tokenizer(texts, add_special_tokens=False, split_special_tokens=True)  # "</s>" in a caption is text, or,
        ends = {start, end}  # by models of SentencePiece's kind, left out: it has no other spelling in their pieces
        ids = [[start, *(one for one in own if one not in ends), end] for own in told["input_ids"]]
        check_rows(self._network, max(map(max, ids)), self.source)
        longest, room = max(map(len, ids)), getattr(self._network.config, "max_position_embeddings", None)
        if room is not None and longest > room:
            raise UserError(f"{self.source.description} reads {room} tokens, and a text has {longest}: shorten it")
        return ids

    def _chunks(self, ids: list[list[int]]) -> list[list[int]]:
        """Divide texts among passes, those of similar lengths together: the same ones whatever their order."""
        chunks: list[list[int]] = []
        for row in sorted(range(len(ids)), key=lambda row: (len(ids[row]), ids[row])):
            if not chunks or (len(chunks[-1]) + 1) * len(ids[row]) > self.chunk_tokens:
                chunks.append([])
            chunks[-1].append(row)
        return chunks

    @torch.no_grad()
    def _log_probs(self, ids: list[list[int]]) -> Tensor:
        """Return log p of every token after the first, summed, (N,)."""
        tokens = pad_sequence([torch.tensor(own) for own in ids], batch_first=True).to(self.device)
        lengths = torch.tensor([len(own) for own in ids], device=self.device)
        mask = torch.arange(tokens.shape[1], device=self.device) < lengths[:, None]
        next_tokens = functional.pad(tokens.masked_fill(~mask, -100)[:, 1:], (0, 1), value=-100)
        with torch.autocast(self.device.type, enabled=False):  # what it says is no matter of a phase's precision
            logits = self._network(input_ids=tokens, attention_mask=mask.long(), use_cache=False).logits
        nll = functional.cross_entropy(
            logits.flatten(0, 1).float(), next_tokens.flatten(), ignore_index=-100, reduction="none"
        )
        return -nll.view(tokens.shape).double().sum(1).cpu()


def judge_captions(judge: TextJudge, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return log p of captions in nats, (N,) float64, and their lengths in words, (N,), the end counted as a word.

    Captions are judged as `as_sentence` writes them, so that policies of words and of subwords, and people, are told
    apart by what they say.

    Args:
        judge: the language model.
        captions: as the metrics read them.
    """
    words = torch.tensor([len(caption.split()) + 1 for caption in captions], dtype=torch.long)
    return judge([as_sentence(caption) for caption in captions]), words


def as_sentence(caption: str) -> str:
    """Write a tokenized caption as a language model knows sentences: "the dog 's ball" becomes "The dog's ball.".

    Brackets, which the metrics read as "-lrb-" and the like, are brackets again.
    """
    from nltk.tokenize.treebank import TreebankWordDetokenizer  # brings scipy's statistics, a third of a run's start

    text: str = TreebankWordDetokenizer().detokenize([_BRACKETS.get(word, word) for word in caption.split()])
    return f"{text[:1].upper()}{text[1:]}."
