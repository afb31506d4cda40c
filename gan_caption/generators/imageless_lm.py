"""A pretrained language model that is shown no image: what advises a captioner of the same tokens at every word.

Shapes: B images, W keys and values of a layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_caption.data.features import ImageFeatures
from gan_caption.generators.base import Generator
from gan_caption.generators.causal_lm import CausalLM
from gan_caption.generators.pretrained_lm import PretrainedLMGenerator
from gan_caption.generators.tuning import Frozen
from gan_caption.text.pretrained import program_order
from gan_caption.text.pretrained_models import Source, load_causal_lm, load_tokenizer


class ImagelessLM(PretrainedLMGenerator):
    """p(caption) of a language model: a prefix of no vectors, and nothing that learns."""

    uses_grid = False

    def __init__(self, source: Source) -> None:
        """Load the language model.

        Raises:
            UserError: it cannot be loaded, or cannot be used so; see `CausalLM`.
        """
        order = program_order(load_tokenizer(source), source)
        Generator.__init__(self, vocabulary_size=len(order))  # there is no mapper to build
        self.source = source
        self.prefix = 0
        self.lm = CausalLM(load_causal_lm(source), order, source, Frozen())
        self.tuned = nn.ParameterDict()
        self._came_pretrained = False  # nothing learns
        first, place = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1, dtype=torch.long)
        self._widths = [layer.shape[2] for layer in self.lm.read(self.lm.words.weight[None, :1], None, first, place)[1]]

    def weights(self) -> list[Tensor]:
        """Return the language model's; see `Generator.weights`."""
        return [*self.lm.model.parameters()]

    def _see(self, features: ImageFeatures) -> tuple[Tensor, ...]:
        """Return the keys and values of nothing in each layer, (B, 0, W)."""
        return tuple(self.lm.words.weight.new_zeros(len(features), 0, width) for width in self._widths)
