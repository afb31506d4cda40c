"""From an image to the prefix that a language model reads before the caption (ClipCap, arXiv 2111.09734, section 3).

Shapes: B images, R regions, K vectors of a prefix, P pooled, D grid channels, Z noise, H hidden, E what the language
model's words have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from gan_caption.data.features import ImageFeatures
from gan_caption.errors import at_least, share
from gan_caption.generators.transformer import EncoderLayer
from gan_caption.kernels.dropout import Dropout
from gan_caption.kernels.products import Linear
from gan_caption.layers import ImageVector, normal_grid


@dataclass(frozen=True)
class PrefixSizes:
    """What a mapper maps from and to."""

    pooled: int
    """P."""
    grid: int
    """D."""
    noise: int
    """Z."""
    length: int
    """K."""
    width: int
    """E."""


class Mapper(Protocol):
    """Makes the network from images to prefixes."""

    uses_grid: ClassVar[bool]
    """Whether that reads `ImageFeatures.grid`."""

    def __call__(self, sizes: PrefixSizes) -> nn.Module:
        """Return the network: from features of B images to (B, K, E)."""
        ...


@dataclass(frozen=True, kw_only=True)
class MLPMapper:
    """Two layers over the image vector."""

    uses_grid: ClassVar[bool] = False
    hidden: int
    """H, units between the layers."""
    dropout: float
    """On them, in [0, 1)."""

    def __post_init__(self) -> None:
        at_least(1, hidden=self.hidden)
        share(dropout=self.dropout)

    def __call__(self, sizes: PrefixSizes) -> nn.Module:
        """Return the network; see `Mapper`."""
        return nn.Sequential(
            ImageVector(inputs=sizes.pooled, noise=sizes.noise, outputs=self.hidden),
            nn.Tanh(),
            Dropout(self.dropout),
            Linear(self.hidden, sizes.length * sizes.width),
            nn.Unflatten(1, (sizes.length, sizes.width)),
        )


@dataclass(frozen=True, kw_only=True)
class TransformerMapper:
    """Learned queries among the image's regions, in a Transformer's encoder.

    ClipCap's projects the image vector to as many vectors as the prefix has, and puts the queries beside these; here
    stand the regions, each with the image vector added to it.
    """

    uses_grid: ClassVar[bool] = True
    hidden: int
    """H, a multiple of `heads`."""
    layers: int
    """At least 1."""
    heads: int
    """At least 1."""
    dropout: float
    """On every sublayer's output, in [0, 1)."""

    def __post_init__(self) -> None:
        at_least(1, hidden=self.hidden, layers=self.layers, heads=self.heads)
        share(dropout=self.dropout)
        if self.hidden % self.heads:
            raise ValueError(f"hidden={self.hidden}: it must be a multiple of heads={self.heads}")

    def __call__(self, sizes: PrefixSizes) -> nn.Module:
        """Return the network; see `Mapper`."""
        return AmongRegions(sizes, self)


class AmongRegions(nn.Module):
    """The network of `TransformerMapper`."""

    def __init__(self, sizes: PrefixSizes, own: TransformerMapper) -> None:
        """Map features of B images to (B, K, E)."""
        super().__init__()
        self.normalise = nn.LayerNorm(sizes.grid)
        self.regions = Linear(sizes.grid, own.hidden)
        self.image = ImageVector(inputs=sizes.pooled, noise=sizes.noise, outputs=own.hidden)
        self.queries = nn.Parameter(torch.randn(sizes.length, own.hidden))
        self.layers = nn.ModuleList(
            EncoderLayer(own.hidden, own.heads, "before", own.dropout) for _ in range(own.layers)
        )
        self.last = nn.LayerNorm(own.hidden)
        self.output = Linear(own.hidden, sizes.width)

    def forward(self, features: ImageFeatures) -> Tensor:
        """Return the prefixes (B, K, E)."""
        grid, mask = normal_grid(features, self.normalise)
        regions = self.regions(grid) + self.image(features)[:, None]  # (B, R, H)
        queries = self.queries.expand(len(grid), -1, -1)
        seen = torch.cat([regions, queries], dim=1)
        mask = torch.cat([mask, mask.new_ones(queries.shape[:2])], dim=1)
        for layer in self.layers:
            seen = layer(seen, mask)
        prefix: Tensor = self.output(self.last(seen[:, -queries.shape[1] :]))
        return prefix
