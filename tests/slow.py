"""Which of many alike tests `pytest -m "not slow"` keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def mostly_slow(values: Iterable[Any], *, fast: Collection[Any]) -> list[Any]:
    """Return the values for `parametrize`, all but a few marked as slow."""
    return [value if value in fast else pytest.param(value, marks=pytest.mark.slow) for value in values]
