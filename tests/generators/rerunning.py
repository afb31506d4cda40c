"""A policy without a cache: another one, which is shown every prefix anew."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.data.captions import EOS, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.base import Generator
from gan_caption.generators.state import TensorState


class Rerunning(Generator[TensorState]):
    """Its state is what was written."""

    def __init__(self, policy: Generator) -> None:
        super().__init__(vocabulary_size=policy.vocabulary_size)
        self.policy, self.uses_grid = policy, policy.uses_grid

    def start(self, features: ImageFeatures, max_length: int) -> TensorState:
        return TensorState((torch.zeros(len(features), 0, dtype=torch.long),), (features.pooled, features.grid))

    def step(self, tokens: Tensor, state: TensorState, rows: Tensor | None = None) -> tuple[Tensor, TensorState]:
        written = state.own[0] if rows is None else state.own[0][rows]
        after = state.after((torch.cat([written, tokens[:, None]], 1),), rows)
        read = torch.nn.functional.pad(after.own[0][:, 1:], (0, 1), value=EOS)  # any word: the next one
        captions = Captions(read, torch.full((len(read),), read.shape[1]), after.images)
        logits = self.policy.logits(ImageFeatures(*state.shared), captions)
        return captions.unpacked(logits)[:, -1], after

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        return self.policy.logits(features, captions)
