"""A pretrained language model that reads the image as a prefix (ClipCap: Mokady et al. 2021, arXiv 2111.09734).

A mapper makes K vectors of the image, the language model reads them, then `<bos>` and the caption. Keys and values of a
prefix are computed once an image, those of a word once (see `key_values`), and a step is one pass over all rows.

Departures: `<bos>`, the model's own beginning of a text, stands between prefix and caption, as every policy here reads
it; the Transformer mapper looks at the regions (see `prefix`).

Shapes: B images, N captions, M tokens in all, T steps, C columns of a cache, K vectors of the prefix, E what words
have, V vocabulary, W keys and values of a layer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.data.captions import PAD, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import UserError, at_least
from gan_caption.generators.base import Generator, NoiseLaw
from gan_caption.generators.causal_lm import CausalLM
from gan_caption.generators.key_values import KeyValueState
from gan_caption.generators.prefix import Mapper, PrefixSizes
from gan_caption.generators.tuning import Tuning
from gan_caption.kernels.word_gates import word_vectors
from gan_caption.text.pretrained import program_order
from gan_caption.text.pretrained_models import find_model, load_causal_lm, load_tokenizer
from gan_caption.untrusted.parsing import parse_json, shown

_TOGETHER = 25
"""Captions of like lengths that are read at once: of a hundred of Flickr8k's as they come, nearly half is padding."""


class PretrainedLMGenerator(Generator[KeyValueState]):
    """Image -> K vectors -> language model -> words.

    Its state holds, beside what learns, the name and digest of the language model; weights that do not learn stay where
    they came from, and are the same ones when it is loaded.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        grid_size: int,
        model: str,
        tuning: Tuning,
        prefix: int,
        mapper: Mapper,
        noise_size: int,
        noise_law: NoiseLaw,
    ) -> None:
        """Load the language model, and build the mapper.

        Args:
            vocabulary_size: V, of the tokenizer of the same model.
            pooled_size: P, length of the image vector.
            grid_size: D, channels of the grid.
            model: see `text.pretrained_models`.
            tuning: says which of the language model's weights learn too.
            prefix: K, at least 1.
            mapper: makes the network from the image to the prefix.
            noise_size: Z, at least 0; the noise vector is appended to the image vector, and 0 is none.
            noise_law: how its numbers are drawn.

        Raises:
            UserError: there is no such model, it cannot be used so, or it has another number of tokens.
        """
        super().__init__(vocabulary_size=vocabulary_size, noise_size=noise_size, noise_law=noise_law)
        at_least(1, prefix=prefix)
        self.source = find_model(model)
        order = program_order(load_tokenizer(self.source), self.source)
        if len(order) != vocabulary_size:
            raise UserError(
                f"generator=pretrained_lm writes the {len(order)} tokens of {self.source.description}, and this run's "
                f"tokenizer has {vocabulary_size}: set tokenizer=pretrained, and one lm.model for both"
            )
        self.prefix = prefix
        self.lm = CausalLM(load_causal_lm(self.source), order, self.source, tuning)
        self.tuned = nn.ParameterDict({name.replace(".", "/"): own for name, own in self.lm.learning.items()})
        self._came_pretrained = tuning.pretrained
        self.uses_grid = mapper.uses_grid
        width = self.lm.words.embedding_dim
        self.mapper = mapper(PrefixSizes(pooled_size, grid_size, noise_size, prefix, width))

    def start(self, features: ImageFeatures, max_length: int) -> KeyValueState:
        """Read the image: one row an image, an empty cache, and room for `<bos>` and `max_length` words.

        Raises:
            UserError: the language model reads fewer positions.
        """
        room = max_length + 1
        if self.lm.longest is not None and self.prefix + room > self.lm.longest:
            raise UserError(
                f"{self.source.description} reads {self.lm.longest} tokens: lower max_length={max_length}, or the "
                f"prefix={self.prefix}"
            )
        memory = self._see(features)
        paths = torch.zeros(len(features), 0, dtype=torch.long, device=memory[0].device)
        slots = tuple(layer.new_zeros(0, layer.shape[2]) for layer in memory)
        return KeyValueState((paths,), memory, slots=slots, room=room)

    def step(self, tokens: Tensor, state: KeyValueState, rows: Tensor | None = None) -> tuple[Tensor, KeyValueState]:
        """Read one token a row; see `Generator.step`."""
        paths = state.paths(rows)
        after = state.after((paths,), rows)
        words = paths[:, :-1].clamp(min=0)

        def before(layer: int) -> Tensor:
            image = _rows(state.shared[layer], after.row_images)
            return torch.cat([image, functional.embedding(words, state.slots[layer])], dim=1)

        known = functional.pad(paths >= 0, (self.prefix, 0), value=True)
        # Rows that have ended take steps beside others, and what they read past the room is never looked at.
        places = (after.positions[:, None] + self.prefix - 1).clamp(max=self.prefix + state.room - 1)
        states, read = self.lm.read(word_vectors(self.lm.words, tokens)[:, None], before, known, places)
        slots = tuple(torch.cat([kept, own[:, 0]]) for kept, own in zip(state.slots, read, strict=True))
        return self._words(states[:, 0]), replace(after, slots=slots)

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in one pass; see `Generator.logits`."""
        memory = self._see(features)
        places = captions.unpacked(torch.arange(int(captions.lengths.sum()), device=captions.tokens.device))
        read, order = [], []
        for rows in captions.lengths.argsort(stable=True).split(_TOGETHER):
            longest = int(captions.lengths[rows].max()) if len(rows) else captions.tokens.shape[1]
            part = Captions(captions.tokens[rows, :longest], captions.lengths[rows], captions.images[rows])
            read.append(part.packed(self._read(part, memory)[0]))
            order.append(part.packed(places[rows, :longest]))
        return self._words(torch.cat(read)[torch.cat(order).argsort()])

    def after_each_prefix(self, captions: Captions, state: KeyValueState) -> tuple[Tensor, KeyValueState]:
        """Read captions in one pass, whose cache their prefixes share; see `Generator.after_each_prefix`."""
        whole = Captions(functional.pad(captions.tokens, (0, 1), value=PAD), captions.lengths + 1, captions.images)
        states, read = self._read(whole, state.shared)
        logits = self._words(states[:, 1:].flatten(0, 1))
        return logits, state.of_prefixes(captions, read)

    def weights(self) -> list[Tensor]:
        """Return the mapper's and all of the language model's, frozen ones too; see `Generator.weights`."""
        return [*self.mapper.parameters(), *self.lm.model.parameters()]

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return the language model's own that learn; see `Generator.pretrained_parameters`."""
        return list(self.tuned.values()) if self._came_pretrained else []

    def warm_start_weights(self) -> dict[str, Tensor]:
        """Return the word vectors; see `Generator.warm_start_weights`."""
        return {"words.weight": self.lm.words.weight.detach()}

    def get_extra_state(self) -> Tensor:
        """Return what tells the language model from others."""
        told = {"description": self.source.name, "digest": self.source.digest}
        return torch.tensor(list(json.dumps(told).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse what was learned with another language model.

        Raises:
            UserError: it was.
        """
        try:
            told = parse_json(bytes(state.tolist()))
            name, digest = (shown(str(told[key])) for key in ("description", "digest"))
        except (ValueError, TypeError, LookupError) as error:
            raise UserError(f"these weights do not name the language model of their time ({error})") from error
        if digest != self.source.digest:
            raise UserError(
                f"these weights were learned with the language model {name} (digest {digest[:16]}), and here is "
                f"{self.source.description} (digest {self.source.digest[:16]}): install or give the model of that time"
            )

    def _apply(self, change: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Let the language model move along, which is not registered."""
        super()._apply(change, recurse)
        self.lm.apply(change)
        return self

    def _see(self, features: ImageFeatures) -> tuple[Tensor, ...]:
        """Return the prefixes' keys and values in each layer, (B, K, W)."""
        vectors: Tensor = self.mapper(features)
        known = torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device)
        places = torch.arange(self.prefix, device=vectors.device).expand_as(known)
        return tuple(self.lm.read(vectors, None, known, places)[1])

    def _read(self, captions: Captions, memory: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        """Read the captions' inputs in one pass: states (N, T, E), and each layer's keys and values (N, T, W)."""
        inputs = captions.inputs

        def before(layer: int) -> Tensor:
            return _rows(memory[layer], captions.images)

        known = torch.ones(inputs.shape[0], self.prefix + inputs.shape[1], dtype=torch.bool, device=inputs.device)
        places = torch.arange(self.prefix, known.shape[1], device=inputs.device).expand_as(inputs)
        return self.lm.read(word_vectors(self.lm.words, inputs), before, known, places)

    def _words(self, states: Tensor) -> Tensor:
        """Return the logits (M, V - first_word) of the words that may be written."""
        return self.lm.logits(states)[:, self.first_word :]


def _rows(memory: Tensor, images: Tensor | None) -> Tensor:
    """Return each row's own of what images share."""
    return memory if images is None else memory.index_select(0, images)
