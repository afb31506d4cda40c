"""A language model to decode with: an n-gram file, or a run that was trained without images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gan_caption.distributed.world import say
from gan_caption.encoders.none import NoImage
from gan_caption.errors import UserError
from gan_caption.evaluation.trained import open_run
from gan_caption.generators.base import Generator
from gan_caption.generators.ngram import NgramGenerator
from gan_caption.text.vocabulary import Vocabulary
from gan_caption.training.folders import inside, read_config
from gan_caption.training.setup import build_part, load_split, training_captions


def learn_ngrams(settings: Mapping[str, Any]) -> None:
    """Count the n-grams of the captions that a run was trained on, and write them as `conf/language_model.yaml` says.

    Raises:
        UserError: the run or its data cannot be read, the order is too high, or the file cannot be written.
    """
    folder = Path(settings["run"])
    config = read_config(folder) | {"allow": settings["allow"]}
    vocabulary = Vocabulary.load(inside(folder, "vocabulary.json"))
    captions = training_captions(load_split(build_part(config, "data"), "train", say))
    encoded = [vocabulary.encode(text, max_length=config["max_length"]) for own in captions for text in own]
    try:
        model = NgramGenerator.learn(encoded, vocabulary_size=len(vocabulary), order=settings["order"])
    except ValueError as error:
        raise UserError(str(error)) from error
    model.save(Path(settings["out"]), vocabulary=vocabulary.fingerprint)
    print(f"{settings['order']}-grams of {len(encoded)} captions: {settings['out']}", flush=True)


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
