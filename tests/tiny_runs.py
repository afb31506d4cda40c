"""Whole runs that take seconds: their sizes, and the pages and parts that they are made of."""

from __future__ import annotations

import copy
import functools
from typing import Any

from experiments import composing
from experiments.composing import part
from tests.tiny_sizes import TINY, TINY_SEQGAN

__all__ = ["TINY", "TINY_SEQGAN", "composed", "part"]


def composed(*overrides: str, config_name: str = "config") -> dict[str, Any]:
    """Compose a page, as the command line does; the same one once in all, which takes a third of a second."""
    return copy.deepcopy(_composed(config_name, *overrides))


@functools.cache
def _composed(config_name: str, *overrides: str) -> dict[str, Any]:
    return composing.composed(*overrides, config_name=config_name)
