"""Rewards that know nothing of the caption: what a method gains with these does not come from its reward.

A policy gradient with a constant reward and no baseline "improves" several published numbers, by entropy collapse
alone. A method is worth something when it beats these. Shapes: B images, N captions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.distributed import world
from gan_caption.errors import UserError, at_least
from gan_caption.rewards.base import Parts, Reward


@dataclass(kw_only=True)
class ConstantReward:
    """The same for every caption."""

    value: float
    """What every caption is given."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,)."""
        return features.pooled.new_full((len(captions),), self.value)


class RandomReward:
    """Uniform in [0, 1), whatever the caption says."""

    of_caption_alone = False
    """See `Odds`."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,)."""
        # torch's own CPU generator, whose state travels with the checkpoint.
        return torch.rand(len(captions)).to(features.pooled)


@dataclass(kw_only=True)
class NormalReward:
    """A fixed function of image and caption whose values are normal with mean 0: logits that know nothing.

    It is drawn by hashing, so that a caption has the same number whenever it is asked, and nothing is drawn from the
    run's random numbers. An image is known by its row among those that are read: left out images move the numbers of
    later ones, and where there are no rows, as of photographs that are captioned, the caption alone decides.
    """

    std: float
    """The standard deviation, at least 0."""
    seed: int
    """Of the function."""

    def __post_init__(self) -> None:
        at_least(0, std=self.std, seed=self.seed)

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,)."""
        mixed = torch.full_like(captions.lengths, self.seed + 1)
        if features.rows is not None:
            mixed = _mix(mixed, features.rows[captions.images])
        for place, tokens in enumerate(captions.tokens.unbind(1)):
            mixed = torch.where(place < captions.lengths, _mix(mixed, tokens), mixed)
        uniforms = ((mixed >> 11) & ((1 << 52) - 1)).double().add(0.5) / (1 << 52)
        return (self.std * torch.special.ndtri(uniforms)).to(features.pooled)


def _mix(state: Tensor, values: Tensor) -> Tensor:
    """Return 64-bit hashes (N,) of hashes and whole numbers, by the finalizer of SplitMix64 (Steele et al. 2014)."""
    mixed = state * -7046029254386353131 + values  # 0x9E3779B97F4A7C15; whole numbers wrap around
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685), (31, 1)):
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return mixed


@dataclass(kw_only=True)
class OtherImageReward:
    """Another reward, asked about another image of the batch in place of the caption's own.

    Which image that is depends on the batch: as a judge that chooses captions it is a control, whose choice is another
    one where images are decoded in other batches.
    """

    reward: Reward
    """The reward that is asked."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor | Parts:
        """Return what the reward gives.

        Raises:
            UserError: there is one image only, and no other to show, as in the last batch of an epoch there may be, or
                where one photograph is captioned.
        """
        shown = features.map(world.gather)
        images = len(shown)
        different = images if shown.rows is None else len(shown.rows.unique())
        if different < 2:
            raise UserError(
                "OtherImageReward shows another image of the batch, and there is one image alone: in training give "
                "images_per_batch above 1 that leaves no single image over at an epoch's end, else several images"
            )
        # Half a batch away: with a noise vector a sample, the rows of one image are neighbours.
        others = (torch.arange(images, device=features.pooled.device) + images // 2) % images
        return self.reward(shown.select(world.own(others, len(features))), captions)
