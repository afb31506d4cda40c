"""A language model to decode with: an n-gram file, or a run that was trained without images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from gan_caption.distributed.world import say
from gan_caption.encoders.none import NoImage
from gan_caption.errors import UserError
from gan_caption.evaluation.trained import open_run
from gan_caption.generators.base import Generator
from gan_caption.generators.ngram import NgramGenerator
from gan_caption.inference.settings import LanguageModelSettings
from gan_caption.text.base import Tokenizer
from gan_caption.training.folders import read_settings
from gan_caption.training.setup import load_split, load_tokenizer, open_corpus, training_captions


def learn_ngrams(settings: LanguageModelSettings) -> None:
    """Count the n-grams of the captions that a run was trained on, and write them as `conf/language_model.yaml` says.

    Raises:
        UserError: the run or its data cannot be read, the order is too high, or the file cannot be written.
    """
    folder = settings.run
    run = read_settings(folder, allow=settings.allow)
    tokenizer = load_tokenizer(run, folder)
    captions = training_captions(load_split(open_corpus(run), "train", say), tokenizer)
    encoded = [tokenizer.encode(text, max_length=run.max_length) for own in captions for text in own]
    try:
        model = NgramGenerator.learn(encoded, vocabulary_size=len(tokenizer), order=settings.order)
    except ValueError as error:
        raise UserError(str(error)) from error
    model.save(settings.out, vocabulary=tokenizer.fingerprint)
    print(f"{settings.order}-grams of {len(encoded)} captions: {settings.out}", flush=True)


def load_language_model(
    path: Path, *, tokenizer: Tokenizer, device: torch.device, allow: str | Sequence[str] = ()
) -> Generator:
    """Return a language model in eval mode.

    Args:
        path: a file that `NgramGenerator.save` wrote, or the folder of a run with `encoder=none`, of which the
            maximum-likelihood weights are taken.
        tokenizer: of the captioner that it shall advise; the language model must have the same one.
        device: where it shall live.
        allow: packages of your own whose classes its run may name.

    Raises:
        UserError: it is missing, damaged, has seen images, or has another tokenizer.
    """
    if not path.is_dir():
        return NgramGenerator.load(path, vocabulary=tokenizer.fingerprint).to(device).eval()
    run = open_run(path, allow=allow, device=str(device))
    if not isinstance(run.encoder, NoImage):
        raise UserError(f"{path}: this run captions images; a language model is a run that was trained by encoder=none")
    if run.tokenizer.fingerprint != tokenizer.fingerprint:
        raise UserError(
            f"{path}: its vocabulary is another than the captioner's, and its token ids mean other words. "
            "Train it on the same data with the same vocabulary settings"
        )
    run.load("mle")
    return run.captioner.generator.eval()
