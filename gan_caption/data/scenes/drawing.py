"""Scenes as pictures of 64 x 64 pixels, drawn four times as large and then reduced, for smooth edges."""

from __future__ import annotations

import functools
import math

import numpy as np
from PIL import Image, ImageDraw

from gan_caption.data.scenes.world import CELLS, Scene, Thing

SIZE = 64
"""Pixels a side."""
_SCALE = 4
_CELL = SIZE * _SCALE / CELLS
_RADIUS = {"small": 6.5 * _SCALE, "large": 8.6 * _SCALE}
_SLACK = 0.7 * _SCALE
"""How far an object may lie from the middle of its cell."""
_EDGE = 3
"""Width of the edge around a pattern, in drawn pixels."""
_TURN = math.radians(12)
_BACKGROUND = (236, 236, 232)
_COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 150, 60),
    "blue": (40, 80, 200),
    "yellow": (235, 205, 30),
    "purple": (135, 50, 165),
    "orange": (250, 130, 20),
}


def draw(scene: Scene) -> Image.Image:
    """Return the RGB picture of a scene; the same scene gives the same pixels."""
    canvas = Image.new("RGB", (SIZE * _SCALE, SIZE * _SCALE), _BACKGROUND)
    for thing in scene.things:
        _draw_thing(canvas, thing)
    return canvas.resize((SIZE, SIZE), Image.Resampling.BOX)


def _draw_thing(canvas: Image.Image, thing: Thing) -> None:
    radius = _RADIUS[thing.size]
    side = 2 * math.ceil(radius) + 2
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    if thing.shape == "circle":
        pen.ellipse((1, 1, side - 2, side - 2), fill=255)
    else:
        middle = side / 2
        outline = _OUTLINES[thing.shape]
        angle = thing.turn * _TURN
        pen.polygon(
            [
                (
                    middle + radius * (x * math.cos(angle) - y * math.sin(angle)),
                    middle + radius * (x * math.sin(angle) + y * math.cos(angle)),
                )
                for x, y in outline
            ],
            fill=255,
        )
    left = (thing.column + 0.5) * _CELL + thing.shift[0] * _SLACK - side / 2
    top = (thing.row + 0.5) * _CELL + thing.shift[1] * _SLACK - side / 2
    place = (round(left), round(top))
    canvas.paste(_COLOURS[thing.colour], place, mask)
    if thing.texture != "filled":  # an edge of plain colour keeps the shape recognisable
        canvas.paste(_pattern(thing, side), place, _shrunk(mask, _EDGE))


def _shrunk(mask: Image.Image, by: int) -> Image.Image:
    """Return at each place the least of the square around it: `ImageFilter.MinFilter`, by rows and then by columns."""
    values = np.pad(np.asarray(mask), by, mode="edge")
    for _ in ("rows", "columns"):
        kept = len(values) - 2 * by
        values = functools.reduce(np.minimum, (values[start : start + kept] for start in range(2 * by + 1))).T
    return Image.fromarray(values)


def _pattern(thing: Thing, side: int) -> Image.Image:
    """Return a square of stripes or dots."""
    white = (255, 255, 255)
    pattern = Image.new("RGB", (side, side), _COLOURS[thing.colour])
    pen = ImageDraw.Draw(pattern)
    if thing.texture == "striped":
        for x in range(-side, side, 4 * _SCALE):  # slanting, about two pixels of the picture wide
            pen.line((x, 0, x + side, side), fill=white, width=round(1.4 * _SCALE))
        return pattern
    step, dot = round(4.5 * _SCALE), 1.2 * _SCALE
    for row, y in enumerate(range(step // 2, side + step, step)):
        for x in range((row % 2) * step // 2, side + step, step):
            pen.ellipse((x - dot, y - dot, x + dot, y + dot), fill=white)
    return pattern


def _star() -> list[tuple[float, float]]:
    points = []
    for corner in range(10):
        reach = 1.0 if corner % 2 == 0 else 0.42
        angle = math.pi * corner / 5
        points.append((reach * math.sin(angle), -reach * math.cos(angle)))
    return points


_OUTLINES = {
    "square": [(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)],
    "triangle": [(0.0, -0.95), (0.95, 0.8), (-0.95, 0.8)],
    "star": _star(),
    "cross": [
        *[(-0.3, -0.9), (0.3, -0.9), (0.3, -0.3), (0.9, -0.3), (0.9, 0.3), (0.3, 0.3)],
        *[(0.3, 0.9), (-0.3, 0.9), (-0.3, 0.3), (-0.9, 0.3), (-0.9, -0.3), (-0.3, -0.3)],
    ],
}
"""Corners within the unit circle, y downwards."""
