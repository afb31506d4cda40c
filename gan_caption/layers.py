"""Layers that generators and discriminators share. Shapes: B images, N rows, R regions, P pooled, Z noise, H hidden."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.data.features import ImageFeatures
from gan_caption.kernels.products import Linear


class ImageVector(nn.Module):
    """Project the pooled features, and the noise beside them where there is some."""

    def __init__(self, *, inputs: int, noise: int, outputs: int) -> None:
        """Map (B, inputs) and (B, noise) to (B, outputs)."""
        super().__init__()
        self.noise = noise
        self.normalise = nn.LayerNorm(inputs)
        self.project = Linear(inputs + noise, outputs)

    def forward(self, features: ImageFeatures) -> Tensor:
        """Return (B, outputs)."""
        pooled = self.normalise(features.pooled)
        if self.noise:
            noise = features.noise if features.noise is not None else pooled.new_zeros(pooled.shape[0], self.noise)
            pooled = torch.cat([pooled, noise], dim=1)
        return self.project(pooled)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Let weights that know no noise fit a layer that takes some: it keeps the noise's own, random ones.

        With zeros in their place nobody would hear the noise, and small steps hardly move them.
        """
        weight = state_dict.get(f"{prefix}project.weight")
        if weight is not None and self.noise and self.project.in_features - weight.shape[1] == self.noise:
            own = self.project.weight.detach()[:, -self.noise :].to(weight)
            state_dict[f"{prefix}project.weight"] = torch.cat([weight, own], dim=1)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class GridAttention(nn.Module):
    """Soft attention over the grid by scaled dot products, with several heads.

    The attention of Xu et al. 2015 with the score of Luong et al. 2015 (arXiv 1508.04025, eq. 8, "general") in
    place of the additive one: all steps and captions of an image share its keys and values, and on a CPU no (N, R, H)
    tensor is ever built (see `memory_of_rows`).
    """

    def __init__(self, *, grid: int, query: int, hidden: int, heads: int) -> None:
        """Attend from queries (N, T, query) over grids (B, R, grid) to contexts (N, T, hidden)."""
        super().__init__()
        if hidden % heads:
            raise ValueError(f"heads={heads}: hidden={hidden} must be a multiple of it")
        self.heads = heads
        self.normalise = nn.LayerNorm(grid)
        self.keys = Linear(grid, hidden, bias=False)
        self.values = Linear(grid, hidden)
        self.query = Linear(query, hidden)

    def memory(self, features: ImageFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """Project the grids once: keys and values (B, heads, R, H / heads), and the mask (B, R) of real regions."""
        grid, mask = normal_grid(features, self.normalise)
        return self._heads(self.keys(grid)), self._heads(self.values(grid)), mask

    def forward(self, queries: Tensor, memory: tuple[Tensor, ...], layout: ByImage | None) -> Tensor:
        """Attend from (N, T, query) to (N, T, H); rows read their images' memories; None: there is a row an image."""
        if layout is None:
            return self.attend(self.query(queries), memory)
        grouped = layout.lay(self.query(queries))  # (S, K, T, H)
        batch, most, steps, hidden = grouped.shape
        own = tuple(part[layout.which] for part in memory)
        contexts = self.attend(grouped.reshape(batch, most * steps, hidden), own)
        return layout.back(contexts.reshape(batch, most, steps, hidden))

    def attend(self, queries: Tensor, memory: tuple[Tensor, ...]) -> Tensor:
        """Return the contexts (B, T, H) of projected queries (B, T, H), each image's own."""
        keys, values, mask = memory
        contexts = functional.scaled_dot_product_attention(self._heads(queries), keys, values, mask[:, None, None])
        return contexts.transpose(1, 2).flatten(2)

    def weights(self, queries: Tensor, memory: tuple[Tensor, ...], images: Tensor) -> Tensor:
        """Return the attention map (N, T, R), the mean over heads; for people to look at."""
        keys, _, mask = memory
        query = self._heads(self.query(queries))  # (N, heads, T, d)
        scores = query @ keys[images].transpose(2, 3) / query.shape[-1] ** 0.5
        return scores.masked_fill(~mask[images][:, None, None], float("-inf")).softmax(-1).mean(1)

    def _heads(self, tensor: Tensor) -> Tensor:
        return tensor.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def normal_grid(features: ImageFeatures, normalise: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """Return the normalised grid (B, R, D), and the mask (B, R) of real regions.

    Raises:
        ValueError: the features came without a grid.
    """
    if features.grid is None:
        raise ValueError("this network reads the grid, and these features came without it")
    batch, regions, _ = features.grid.shape
    steps = torch.arange(regions, device=features.grid.device)
    counts = features.regions if features.regions is not None else steps.new_full((batch,), regions)
    return normalise(features.grid), steps < counts[:, None]


def memory_of_rows(memory: tuple[Tensor, ...], images: Tensor | None) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """Say what a step of a captioner reads: what images share, (B, ...) each, and whose each row reads.

    On a CPU both stay as they came. On any other device every row gets a copy of what its image has, and the images are
    None, "each its own": how many rows an image has is an answer that the host would wait for at every word.
    """
    if images is None or images.device.type == "cpu":
        return memory, images
    return tuple(part.index_select(0, images) for part in memory), None


@dataclass(frozen=True)
class ByImage:
    """Where N rows lie when they are laid out by image, (S, K, ...), with K the most rows that an image has."""

    which: slice
    """The S images: from the first to the last that has a row."""
    place: Tensor
    """(N,) long: of each row, among the S * K."""
    shape: tuple[int, int]
    """S and K."""

    @classmethod
    def of(cls, images: Tensor) -> ByImage:
        """Find the layout of rows whose images are these, (N,) long, ascending."""
        first, last = torch.stack((images[0], images[-1])).tolist() if len(images) else (0, -1)
        before = torch.searchsorted(images, torch.arange(first, last + 2, device=images.device))  # each image, and all
        counts = before.diff()
        most = int(counts.max()) if len(images) else 1
        own = images - first
        place = own * most + torch.arange(len(images), device=images.device) - before[own]
        return cls(slice(first, last + 1), place, (len(counts), most))

    def lay(self, rows: Tensor) -> Tensor:
        """Lay rows (N, ...) out, (S, K, ...), zeros where an image has fewer."""
        size = math.prod(self.shape)
        if len(rows) != size:  # else every image has equally many, and the rows lie right already
            rows = rows.new_zeros(size, *rows.shape[1:]).index_copy(0, self.place, rows)
        return rows.unflatten(0, self.shape)

    def back(self, laid: Tensor) -> Tensor:
        """Return the rows (N, ...) of what is laid out, (S, K, ...)."""
        return laid.flatten(0, 1)[self.place]
