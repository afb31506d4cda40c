"""Who chooses among candidates, as a user weighs them."""

from __future__ import annotations

from collections.abc import Mapping

from gan_caption.decoding.decoders import OWN
from gan_caption.decoding.rerank import Judge
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.set import of_sets
from gan_caption.errors import UserError
from gan_caption.rewards.discriminator import DiscriminatorReward
from gan_caption.rewards.transforms import Logit

JUDGED_AT_ONCE = 2048
"""Captions, at most."""


def chosen_judges(
    weights: Mapping[str, float], discriminator: Discriminator | None, language_model: Judge | None
) -> dict[str, Judge]:
    """Return those whose weight is not 0, by name.

    Raises:
        UserError: a name is unknown, or a judge is asked for that is not there.
    """
    unknown = weights.keys() - {OWN, "discriminator", "language_model"}
    if unknown:
        raise UserError(f"rerank.{min(unknown)} is not known: own, discriminator and language_model are")
    judges: dict[str, Judge] = {}
    if weight := weights.get("discriminator", 0.0):
        if discriminator is None:
            raise UserError(f"rerank.discriminator={weight}: this run has no discriminator that has learned")
        if of_sets(discriminator):
            raise UserError(
                f"rerank.discriminator={weight}: this run's discriminator judges all captions of an image together, "
                "and chooses none of them"
            )
        judges["discriminator"] = DiscriminatorReward(
            discriminator=discriminator, transform=Logit(), chunk_rows=JUDGED_AT_ONCE
        )
    if weight := weights.get("language_model", 0.0):
        if language_model is None:
            raise UserError(f"rerank.language_model={weight}: with which one? Give language_model=...")
        judges["language_model"] = language_model
    return judges
