"""A language model to decode with: an n-gram file, or a run that was trained without images."""

from __future__ import annotations

from pathlib import Path

import torch

from gan_caption.data.vocabulary import Vocabulary
from gan_caption.encoders.none import NoImage
from gan_caption.errors import UserError
from gan_caption.generators.base import Generator
from gan_caption.generators.ngram import NgramGenerator
from gan_caption.training.trained import open_run


def load_language_model(path: Path, *, vocabulary: Vocabulary, device: torch.device) -> Generator:
    """Return a language model in eval mode.

    Args:
        path: a file that `NgramGenerator.save` wrote, or the folder of a run with `encoder=none`, of which the
            maximum-likelihood weights are taken.
        vocabulary: of the captioner that it shall advise; the language model must have the same one.
        device: where it shall live.

    Raises:
        UserError: it is missing, damaged, has seen images, or has another vocabulary.
    """
    if not path.is_dir():
        return NgramGenerator.load(path, vocabulary=vocabulary.fingerprint).to(device).eval()
    run = open_run(path, {"device": str(device)})
    if not isinstance(run.encoder, NoImage):
        raise UserError(f"{path}: this run captions images; a language model is a run that was trained by encoder=none")
    if run.vocabulary.fingerprint != vocabulary.fingerprint:
        raise UserError(
            f"{path}: its vocabulary is another than the captioner's, and its token ids mean other words. "
            "Train it on the same data with the same vocabulary settings"
        )
    run.load("mle")
    return run.captioner.generator.eval()
