"""Splits where nobody has given any: they follow from each image's name, so that others may come and go."""

from __future__ import annotations

import hashlib


def split_of(image: str, *, val_share: float, test_share: float, seed: int) -> str:
    """Return the split of an image by a hash of its name.

    Args:
        image: its name.
        val_share: expected share of all images in val, at least 0.
        test_share: that in test; together less than 1.
        seed: other seeds divide otherwise.
    """
    digest = hashlib.sha256(f"{seed}/{image}".encode("utf-8", "surrogateescape")).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64
    if point < test_share:
        return "test"
    return "val" if point < test_share + val_share else "train"
