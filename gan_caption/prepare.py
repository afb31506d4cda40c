"""Prepare a data set: read its captions, extract its features. `train` does the same where it is missing.

With `shards.folder=...` the photographs, or the features, are written there as tar shards, for `data=shards`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gan_caption.configuration.launching import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gan_caption.data.corpus import Corpus, Split
    from gan_caption.encoders.base import Encoder


def main(config: DictConfig) -> None:
    """Read every split that is there, and extract the features of its images or write shards."""
    from contextlib import nullcontext
    from functools import partial

    from omegaconf import OmegaConf

    from gan_caption.data.shards.writer import ShardFolder, features_in, photograph_in
    from gan_caption.distributed.world import size
    from gan_caption.errors import UserError
    from gan_caption.training.setup import (
        build_encoder,
        check_configuration,
        choose_device,
        open_corpus,
        open_features,
    )

    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    settings = check_configuration(plain)
    asked = settings.shards
    if asked.folder is not None and size() > 1:
        raise UserError(f"shards.folder={asked.folder}: one process writes shards; start it without torchrun")
    shards = None if asked.folder is None else ShardFolder(asked.folder, samples=asked.samples)
    device = choose_device(settings.device)
    corpus = open_corpus(settings)
    if shards is not None and asked.content == "photos":
        with shards:
            for split in _splits(corpus):
                shards.write(split, partial(photograph_in, split))
                _tell(split)
        return
    encoder = build_encoder(settings, device=device)
    about = None if shards is None else _origin(encoder)
    with shards or nullcontext():
        for split in _splits(corpus):
            source = open_features(settings, encoder, split, device=device)
            if shards is not None:
                shards.write(source.split, partial(features_in, source), features_of=about)
            _tell(source.split)


def _origin(encoder: Encoder) -> dict[str, str]:
    """Return which encoder features are of, if it can be told again whether another one is the same."""
    from gan_caption.errors import UserError

    if encoder.finetune or not any(True for _ in encoder.parameters()):
        raise UserError(
            "shards.content=features: choose an encoder with weights of its own that stay as they are, such as "
            "encoder=efficientnet_lite0, with encoder.finetune=false; or shards.content=photos"
        )
    return {"fingerprint": encoder.fingerprint, "description": encoder.description}


def _splits(corpus: Corpus) -> list[Split]:
    """Return the splits that are there, and say which are not: all are looked at before one costs anything.

    Raises:
        UserError: a split is faulty, or none is there.
    """
    from gan_caption.data.corpus import NoSplit
    from gan_caption.distributed.world import say
    from gan_caption.experiment import check_alike
    from gan_caption.training.setup import load_split

    splits: list[Split] = []
    lacking: list[NoSplit] = []
    for name in ("train", "val", "test"):
        try:
            splits.append(load_split(corpus, name, say))
        except NoSplit as error:
            lacking.append(error)
            say(f"{name}: left out ({error})")
    check_alike([split.fingerprint for split in splits])
    if not splits:
        raise lacking[0]
    return splits


def _tell(split: Split) -> None:
    from gan_caption.distributed.world import is_main

    captions = sum(len(item.captions) for item in split.items)
    if is_main():
        print(f"{split.name}: {len(split)} images, {captions} captions", flush=True)


if __name__ == "__main__":
    launch(main, several=True)
