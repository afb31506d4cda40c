"""A loss that trades precision for recall, without a discriminator. Shapes: N captions, T steps.

Of policy q and data p, alpha = sum over captions of min(lambda p, q) is a precision, and alpha / lambda the recall that
goes with it (Sajjadi et al. 2018, arXiv 1806.00035). A small lambda asks for recall alone: nothing is gained by giving
a caption more than lambda times what it should have.

Verine et al. 2025 (arXiv 2508.09654, "When temperature fails, change the loss") train language models on it. What is
missing from alpha, the sum of max(lambda p - q, 0), is for captions of T tokens at most the same sum word by word: with
lambda' = lambda^(1 / T), the mean over the data's prefixes of lambda'^(tokens before) x the sum over the words of
max(lambda' p(word) - q(word), 0). The data's p(word) is estimated as TaiLr does; T is each caption's own length.

Unverified: their text could not be read, and this follows the derivation above. A public implementation that cites it
has the same threshold and the same ratio; its power of lambda is (words before) / (length - 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import proportion
from gan_caption.generators.base import Generator
from gan_caption.objectives.demonstrations import Demonstrations, Scored
from gan_caption.objectives.tailr import trust


@dataclass(kw_only=True)
class PrecisionRecall(Demonstrations):
    """Words that the policy gives enough are left alone; see this module."""

    recall: float
    """Lambda in (0, 1]: 1 weighs precision and recall alike (TaiLr's loss), 0 would be recall alone."""
    gamma: float
    """TaiLr's, in (0, 1]; see `TaiLr.gamma`."""

    def __post_init__(self) -> None:
        proportion(recall=self.recall, gamma=self.gamma)

    def weights(
        self, scored: Scored, features: ImageFeatures, captions: Captions, reference: Generator | None
    ) -> Tensor:
        """Return the weights (N, T): lambda'^(tokens before) x q / p, and 0 where q is above lambda' p."""
        del features, reference
        probabilities = scored.log_probs.exp()
        ratio = trust(probabilities, gamma=self.gamma)
        rate = self.recall ** (1 / captions.lengths.to(probabilities))[:, None]
        before = torch.arange(probabilities.shape[1], device=probabilities.device)
        return torch.where(ratio <= rate, rate**before * ratio, 0)
