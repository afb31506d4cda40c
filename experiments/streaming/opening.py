"""The training split of shards, opened in every process of the study in the same way."""

from __future__ import annotations

from gan_caption.data.shards.corpus import Shards, ShardSplit


def opened(folder: str, cache: str) -> ShardSplit:
    """Return the split; by hand and not from its page, as what composes pages would count in the memory measured."""
    corpus = Shards(
        root=folder, cache=cache, train="train-*.tar", val="val-*.tar", test="test-*.tar", window=16, keep=50.0,
        skip_unreadable=False,
    )  # fmt: skip
    return corpus.split("train")
