"""A causal language model of `transformers`, as a policy uses it: vectors in, keys and values kept, words out.

Shapes: N rows, T vectors read at once, C read before them, E what words have, V vocabulary, W the keys and values of a
layer side by side, M rows in all.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.errors import UserError
from gan_caption.text.pretrained_models import Source, check_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from gan_caption.generators.cache_layers import Before
    from gan_caption.generators.tuning import Tuning

KEEPS = "a Transformer is wanted that keeps keys and values of every word, takes their positions, and projects its last"
"""What a model must be like."""


class CausalLM:
    """A language model whose word i is the program's token i, always in eval mode.

    It is no `nn.Module`: what holds it registers what shall learn (`learning`), and nothing else of it comes to
    optimizers, averages and checkpoints. A copy shares the weights that do not learn.
    """

    def __init__(self, model: PreTrainedModel, order: Sequence[int], source: Source, tuning: Tuning) -> None:
        """Put the model's words into the program's order.

        Args:
            model: in eval mode; it becomes part of this.
            order: the model's own id of each of the V tokens.
            source: of the model, for messages.
            tuning: says which of its weights learn.

        Raises:
            UserError: it does not work as this class has it, or cannot be tuned so.
        """
        self.model = model.eval().requires_grad_(False)
        check_rows(model, max(order), source)
        _reorder(model, torch.tensor(order))
        self._check(source)
        self._learns = tuning(model)
        for parameter in self.learning.values():
            parameter.requires_grad_(True)

    @property
    def words(self) -> nn.Embedding:
        """The word vectors (V, E)."""
        words: nn.Embedding = self.model.get_input_embeddings()
        return words

    @property
    def longest(self) -> int | None:
        """How many vectors can be read in all; None: no matter how many."""
        return getattr(self.model.config, "max_position_embeddings", None)

    @property
    def learning(self) -> dict[str, nn.Parameter]:
        """The weights that learn."""
        return {name: own for name, own in self.model.named_parameters() if name in self._learns}

    def read(
        self, vectors: Tensor, before: Before | None, known: Tensor, places: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Read vectors after others.

        Args:
            vectors: (N, T, E).
            before: gives of a layer the keys and values (N, C, W) of what was read; None: nothing was.
            known: (N, C + T) bool, what of that and of the vectors themselves is there.
            places: (N, T) long, where the vectors stand, counted from 0.

        Returns:
            the last layer's states (N, T, E), and for each layer the vectors' own keys and values (N, T, W).
        """
        from gan_caption.generators.cache_layers import cache_of, new

        if not len(vectors):  # of which the library makes an error
            given = None if before is None else lambda layer: _one(before(layer))
            states, own = self.read(_one(vectors), given, _one(known), _one(places))
            return states[:0], [part[:0] for part in own]
        count = known.shape[1] - vectors.shape[1]
        cache = cache_of(before, count, layers=self.model.config.num_hidden_layers)
        read = self.model.base_model(
            inputs_embeds=vectors, attention_mask=known.long(), position_ids=places, cache=cache, use_cache=True
        )
        return read.last_hidden_state, new(cache)

    def logits(self, states: Tensor) -> Tensor:
        """Project states (M, E) to the words, (M, V)."""
        logits: Tensor = self.model.get_output_embeddings()(states)
        return logits

    def apply(self, change: Any) -> None:
        """Do to every tensor what `nn.Module.to` asks for."""
        self.model._apply(change)

    def __deepcopy__(self, memo: dict[int, Any]) -> CausalLM:
        learning = {id(own) for own in self.learning.values()}
        for own in (*self.model.parameters(), *self.model.buffers()):
            if id(own) not in learning:
                memo[id(own)] = own
        copied = copy.copy(self)
        copied.model = copy.deepcopy(self.model, memo)
        return copied

    @torch.no_grad()
    def _check(self, source: Source) -> None:
        """Compare what the model says of three words with what it says here, the last of them read after the others.

        Between them something lies that is not there, as beside longer captions: its place must not count.

        Raises:
            UserError: it is something else.
        """
        words, known = torch.tensor([[1, 3, len(self.words.weight) - 1]]), torch.tensor([[True, True, False, True]])
        places, vectors = torch.arange(3)[None], self.words(words)
        try:
            wanted = self.model(words).logits
            _, kept = self.read(vectors[:, :2], None, known[:, :2], places[:, :2])
            apart = [functional.pad(own, (0, 0, 0, 1)) for own in kept]  # (1, 3, W)
            states, _ = self.read(vectors[:, 2:], apart.__getitem__, known, places[:, 2:])
            difference = (self.logits(states[:, 0]) - wanted[:, 2]).abs().max() / wanted.abs().max()
        except Exception as error:  # whatever another kind of network meets here
            raise UserError(f"{source.description} is a {type(self.model).__name__} ({error}): {KEEPS}") from error
        if not difference < 1e-3:
            raise UserError(f"{source.description} is a {type(self.model).__name__}: {KEEPS} states as they are")


def _reorder(model: PreTrainedModel, order: Tensor) -> None:
    """Let row i of the model's word vectors, and of its output, be what row `order[i]` was."""
    words: Any = model.get_input_embeddings()
    output: Any = model.get_output_embeddings()
    tied = words.weight is output.weight
    words.weight = nn.Parameter(words.weight[order], requires_grad=False)
    words.num_embeddings, words.padding_idx = len(order), None
    output.weight = words.weight if tied else nn.Parameter(output.weight[order], requires_grad=False)
    output.out_features = len(order)
    if output.bias is not None:
        output.bias = nn.Parameter(output.bias[order], requires_grad=False)


def _one(rows: Tensor) -> Tensor:
    """Return a row of the form of others, where there are none."""
    return rows.new_ones(1, *rows.shape[1:])
