"""Count the n-grams of a run's training captions: `python -m gan_caption.language_model run=... out=n.safetensors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.launching import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Learn an n-gram model and write it to a file."""
    from gan_caption.inference.language_model import learn_ngrams
    from gan_caption.inference.settings import language_model_from

    learn_ngrams(language_model_from(config))


if __name__ == "__main__":
    launch(main, config_name="language_model")
