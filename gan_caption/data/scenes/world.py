"""Scenes: one to three objects in a 3 x 3 grid of cells, at most one a cell."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Shape = Literal["circle", "square", "triangle", "star", "cross"]
Colour = Literal["red", "green", "blue", "yellow", "purple", "orange"]
Size = Literal["small", "large"]
Texture = Literal["filled", "striped", "dotted"]

SHAPES: tuple[Shape, ...] = ("circle", "square", "triangle", "star", "cross")
COLOURS: tuple[Colour, ...] = ("red", "green", "blue", "yellow", "purple", "orange")
SIZES: tuple[Size, ...] = ("small", "large")
TEXTURES: tuple[Texture, ...] = ("filled", "striped", "dotted")
CELLS = 3


@dataclass(frozen=True)
class Thing:
    """One object."""

    shape: Shape
    colour: Colour
    size: Size
    texture: Texture
    column: int
    """0 (left) to 2 (right)."""
    row: int
    """0 (top) to 2 (bottom)."""
    shift: tuple[float, float]
    """Where in its cell it lies: x and y, each -1 to 1. Only the drawing shows it; no caption speaks of it."""
    turn: float
    """Its rotation, -1 to 1; only the drawing shows it."""


@dataclass(frozen=True)
class Scene:
    """One to three objects."""

    things: tuple[Thing, ...]


def draw_scene(rng: random.Random) -> Scene:
    """Draw a scene: the number of objects, their cells and their attributes are uniform and independent."""
    cells = rng.sample(range(CELLS * CELLS), rng.choice((1, 2, 3)))
    return Scene(tuple(_draw_thing(rng, cell) for cell in cells))


def _draw_thing(rng: random.Random, cell: int) -> Thing:
    return Thing(
        shape=rng.choice(SHAPES),
        colour=rng.choice(COLOURS),
        size=rng.choice(SIZES),
        texture=rng.choice(TEXTURES),
        column=cell % CELLS,
        row=cell // CELLS,
        shift=(rng.uniform(-1, 1), rng.uniform(-1, 1)),
        turn=rng.uniform(-1, 1),
    )


PLACES = {
    "in the top left corner": lambda thing: (thing.column, thing.row) == (0, 0),
    "in the top right corner": lambda thing: (thing.column, thing.row) == (2, 0),
    "in the bottom left corner": lambda thing: (thing.column, thing.row) == (0, 2),
    "in the bottom right corner": lambda thing: (thing.column, thing.row) == (2, 2),
    "on the left": lambda thing: thing.column == 0,
    "on the right": lambda thing: thing.column == 2,
    "at the top": lambda thing: thing.row == 0,
    "at the bottom": lambda thing: thing.row == 2,
    "in the middle": lambda thing: (thing.column, thing.row) == (1, 1),
}
"""What each place phrase says of one object. Every cell has a phrase that is true of it."""

RELATIONS = {
    "to the left of": lambda a, b: a.column < b.column,
    "to the right of": lambda a, b: a.column > b.column,
    "above": lambda a, b: a.row < b.row,
    "below": lambda a, b: a.row > b.row,
    "next to": lambda a, b: abs(a.column - b.column) + abs(a.row - b.row) == 1,
}
"""What each relation says of two objects. Any two objects have a relation that is true of them."""
