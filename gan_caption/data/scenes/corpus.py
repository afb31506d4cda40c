"""The scenes as a corpus: made from a seed, nothing on disk."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.scenes import language
from gan_caption.data.scenes.drawing import draw
from gan_caption.data.scenes.grammar import Phrase
from gan_caption.data.scenes.judge import judge
from gan_caption.data.scenes.world import Scene, draw_scene
from gan_caption.errors import UserError


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

    def oracle(self, captions: Sequence[Sequence[str]]) -> dict[str, float]:
        """Score captions by the grammar and by the scenes.

        Args:
            captions: for every scene, in order, its generated captions.

        Returns:
            `grammatical`: the share of captions that some scene could get; `true`: the share that is also true of its
            own scene; `hallucinations`: false claims per grammatical caption (NaN if there is none); `outside`: the
            share of captions with p(caption | scene) = 0; `nll`: the mean of -log p over the others, in
            nats (NaN if there is none).
        """
        judged = [(judge(caption, scene), scene, caption) for own, scene in self._pairs(captions) for caption in own]
        grammatical = [judgement for judgement, _, _ in judged if judgement.grammatical]
        # Only true captions have p > 0 (see `language`), so the others need no parse.
        true = [(scene, caption) for judgement, scene, caption in judged if judgement.true]
        log_probs = [language.log_probability(_captions_of(scene), caption) for scene, caption in true]
        inside = [value for value in log_probs if value > -math.inf]
        return {
            "grammatical": len(grammatical) / len(judged),
            "true": len(true) / len(judged),
            "hallucinations": _mean([len(judgement.hallucinations) for judgement in grammatical]),
            "outside": 1 - len(inside) / len(judged),
            "nll": -_mean(inside),
        }

    def true_share(self, captions: Sequence[Sequence[str]]) -> list[float]:
        """Return of each scene the share of its captions that are true of it."""
        return [_mean([judge(text, scene).true for text in own]) for own, scene in self._pairs(captions)]

    def _pairs(self, captions: Sequence[Sequence[str]]) -> list[tuple[Sequence[str], Scene]]:
        return list(zip(captions, self.scenes, strict=True))


class Scenes:
    """A small world with a known truth: see `world` (what is drawn) and `language` (what is said of it)."""

    LOCATIONS = ()

    def __init__(
        self, *, seed: int = 0, train: int = 8000, val: int = 200, test: int = 500, captions_per_image: int = 5
    ) -> None:
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
        scene = draw_scene(rng)
        phrase = language.captions_of(scene)
        captions = tuple(language.draw_caption(phrase, rng) for _ in range(self.captions_per_image))
        return CaptionedImage(f"{name}-{self.seed}-{index}", captions), scene


@functools.lru_cache(maxsize=2000)
def _captions_of(scene: Scene) -> Phrase:
    return language.captions_of(scene)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
