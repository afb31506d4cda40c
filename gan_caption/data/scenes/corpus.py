"""The scenes as a corpus: made from a seed, nothing on disk."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from gan_caption.data.corpus import CaptionedImage, Split, known_truth
from gan_caption.data.scenes import language
from gan_caption.data.scenes.drawing import draw
from gan_caption.data.scenes.truth import METRICS, Truth
from gan_caption.data.scenes.world import Scene, draw_scene
from gan_caption.errors import UserError
from gan_caption.metrics.metric import Metric


@dataclass(frozen=True)
class SceneSplit(Split):
    """Drawn scenes; the truth about their captions is known."""

    scenes: tuple[Scene, ...] = ()

    def image(self, index: int) -> Image.Image:
        """Draw scene `index`."""
        return draw(self.scenes[index])

    def select(self, rows: Sequence[int]) -> SceneSplit:
        """Return the split that holds only these rows, in this order."""
        rows = list(rows)
        return replace(self, items=tuple(self.items[r] for r in rows), scenes=tuple(self.scenes[r] for r in rows))

    def truth(self, captions: Sequence[Sequence[str]]) -> Truth:
        """Judge the captions of every scene, (N, K), by the grammar and by the scenes."""
        return Truth(captions, self.scenes)

    def log_density(self, index: int, caption: str) -> float:
        """Return log p(caption | scene), exactly, by the grammar; see `Split.log_density`."""
        return language.log_probability(language.captions_of(self.scenes[index]), caption)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What the grammar and the scenes say, of captions and of samples."""
        return tuple(one for metric, value in METRICS for one in known_truth(metric, self.truth, value))


class Scenes:
    """A small world with a known truth: see `world` (what is drawn) and `language` (what is said of it)."""

    LOCATIONS = ()

    def __init__(self, *, seed: int, train: int, val: int, test: int, captions_per_image: int) -> None:
        """Set the sizes.

        Args:
            seed: of the scenes and their captions; not the seed of training.
            train: images in this split, at least 1.
            val: images in this split, at least 1.
            test: images in this split, at least 1.
            captions_per_image: references an image, at least 1; drawn independently, so they may coincide.
        """
        if min(train, val, test, captions_per_image) < 1:
            raise ValueError("train, val, test and captions_per_image must be at least 1")
        self.seed = seed
        self.sizes = {"train": train, "val": val, "test": test}
        self.captions_per_image = captions_per_image

    def split(self, name: str) -> SceneSplit:
        """Draw a split; image i is the same whatever the split's size."""
        if name not in self.sizes:
            raise UserError(f"split={name} is not known: scenes have {', '.join(self.sizes)}")
        drawn = [self._draw(name, index) for index in range(self.sizes[name])]
        return SceneSplit(name, tuple(item for item, _ in drawn), scenes=tuple(scene for _, scene in drawn))

    def _draw(self, name: str, index: int) -> tuple[CaptionedImage, Scene]:
        rng = random.Random(f"{self.seed}/{name}/{index}")
        scene = self._scene(name, rng)
        phrase = language.captions_of(scene)
        captions = tuple(language.draw_caption(phrase, rng) for _ in range(self.captions_per_image))
        return CaptionedImage(f"{name}-{self.seed}-{index}", captions), scene

    def _scene(self, name: str, rng: random.Random) -> Scene:
        """Draw a scene of a split."""
        del name
        return draw_scene(rng)
