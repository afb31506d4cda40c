"""Whole runs that take seconds: their sizes, and the pages and parts that they are made of."""

from __future__ import annotations

from experiments.composing import composed, part
from tests.tiny_sizes import TINY, TINY_SEQGAN

__all__ = ["TINY", "TINY_SEQGAN", "composed", "part"]
