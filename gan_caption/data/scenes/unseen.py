"""Scenes in which some combinations of colour and shape are kept from train and val: what is said of them is new.

Every colour and every shape is seen in other combinations, so that a captioner knows the words. Given a scene its
captions come from the same grammar, whatever scenes there are: log p(caption | scene), the divergence and the truth of
captions are as exact as ever. What changes is which scenes there are; the number of objects stays uniform, so that
images with new combinations are not fuller than others.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from gan_caption.data.scenes.corpus import Scenes
from gan_caption.data.scenes.world import COLOURS, SHAPES, Scene, draw_scene


class UnseenScenes(Scenes):
    """Scenes that hold combinations out."""

    def __init__(
        self, *, seed: int, train: int, val: int, test: int, captions_per_image: int, unseen: Sequence[str],
        test_shows: Literal["seen", "unseen"],
    ) -> None:  # fmt: skip
        """Set the sizes, and what is not seen.

        Args:
            seed: as in `Scenes`.
            train: as in `Scenes`.
            val: as in `Scenes`.
            test: as in `Scenes`.
            captions_per_image: as in `Scenes`.
            unseen: colours and shapes such as "red circle", which no image of train and val has.
            test_shows: "seen": no image of test has one either; "unseen": each has at least one.
        """
        super().__init__(seed=seed, train=train, val=val, test=test, captions_per_image=captions_per_image)
        every = {f"{colour} {shape}": (colour, shape) for colour in COLOURS for shape in SHAPES}
        if not unseen:
            raise ValueError("unseen=[]: name at least one combination, [red circle]; without any there is data=scenes")
        for one in unseen:
            if one not in every:
                raise ValueError(
                    f"unseen: {str(one)[:40]!r} is no colour and shape; colours are {', '.join(COLOURS)}, shapes "
                    f"{', '.join(SHAPES)}"
                )
        self.unseen = {every[one] for one in unseen}
        seen = set(every.values()) - self.unseen
        for place, names in enumerate((COLOURS, SHAPES)):
            if lost := [name for name in names if not any(pair[place] == name for pair in seen)]:
                raise ValueError(f"unseen: {lost[0]} is in no other combination, its word would be new: leave one out")
        self.test_shows = test_shows

    def _scene(self, name: str, rng: random.Random) -> Scene:
        """Draw scenes until one fits; all have as many objects as the first."""
        wanted = name == "test" and self.test_shows == "unseen"
        scene = first = draw_scene(rng)
        while len(scene.things) != len(first.things) or self._has_unseen(scene) != wanted:
            scene = draw_scene(rng)
        return scene

    def _has_unseen(self, scene: Scene) -> bool:
        return any((thing.colour, thing.shape) in self.unseen for thing in scene.things)
