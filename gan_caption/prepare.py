"""Prepare a data set: read its captions, extract its features. `train` does the same where it is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gan_caption.configuration import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Read every split that is there, and extract the features of its images."""
    from omegaconf import OmegaConf

    from gan_caption.errors import UserError
    from gan_caption.training.setup import (
        build_encoder,
        build_part,
        check_configuration,
        choose_device,
        load_split,
        open_features,
    )
    from gan_caption.world import is_main, say

    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    check_configuration(plain)
    device = choose_device(plain["device"])
    corpus = build_part(plain, "data")
    encoder = build_encoder(plain, device=device)
    for name in ("train", "val", "test"):
        try:
            split = load_split(corpus, name, say)
        except UserError as error:
            if name != "test":
                raise
            say(f"test: left out ({error})")
            continue
        source = open_features(plain, encoder, split, device=device)
        captions = sum(len(item.captions) for item in source.split.items)
        if is_main():
            print(f"{name}: {len(source.split)} images, {captions} captions", flush=True)


if __name__ == "__main__":
    launch(main, several=True)
