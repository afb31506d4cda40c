"""Several captions of each image, with what they were ranked by. Shapes: B images, N captions in all, T tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gan_caption.data.captions import Captions


@dataclass(frozen=True)
class Candidates:
    """N captions of B images: those of an image are neighbours, the best first (an n-best list an image).

    An image may have fewer than another: a search finds no more captions than there are.
    """

    captions: Captions
    """N of them."""
    scores: Tensor
    """(N,) float: what they are ranked by, falling within an image."""
    log_probs: Tensor
    """(N,) float, nats: log p(caption | image) of the generator that wrote them. Of a fusion with a language model it
    is the weighted sum that the search maximised; of samples it is that of the distribution that they were drawn from,
    sharpened or cut off perhaps, and given the noise of each."""

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def best(self) -> Captions:
        """The first caption of each image, (B)."""
        images = self.captions.images
        first = torch.ones_like(images, dtype=torch.bool)
        first[1:] = images[1:] != images[:-1]
        return self.captions.select(first)

    def ranked_by(self, scores: Tensor) -> Candidates:
        """Return the same captions, ordered within each image by other scores (N,); equal ones keep their order."""
        order = scores.argsort(descending=True, stable=True)
        order = order[self.captions.images[order].argsort(stable=True)]
        return replace(self, captions=self.captions.select(order), scores=scores[order],
                       log_probs=self.log_probs[order])  # fmt: skip
