"""A language model to decode with: an n-gram file, a run that was trained without images, or a pretrained one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from gan_caption.decoding.rerank import Judge, LanguageModelLogLikelihood
from gan_caption.distributed.world import say
from gan_caption.encoders.none import NoImage
from gan_caption.errors import UserError
from gan_caption.evaluation.trained import open_run, reading_data
from gan_caption.files import at_home, check_file
from gan_caption.generators.base import Generator
from gan_caption.generators.imageless_lm import ImagelessLM
from gan_caption.generators.ngram import NgramGenerator
from gan_caption.inference.settings import LanguageModelSettings, read_as
from gan_caption.rewards.language_model import LanguageModelReward
from gan_caption.rewards.text_judge import TextJudge
from gan_caption.text.base import Tokenizer
from gan_caption.text.pretrained import PretrainedTokenizer
from gan_caption.training.folders import read_settings
from gan_caption.training.setup import (
    judging,
    load_split,
    open_corpus,
    training_captions,
)
from gan_caption.training.tokenizers import load_tokenizer


def learn_ngrams(settings: LanguageModelSettings) -> None:
    """Count the n-grams of all captions of a run's train split, and write them as `conf/language_model.yaml` says.

    Raises:
        UserError: the run or its data cannot be read, the order is too high, or the file cannot be written.
    """
    check_file(settings.out, f"out={settings.out}")
    folder = settings.run
    run = read_as(read_settings(folder, allow=settings.allow), settings)
    tokenizer = load_tokenizer(run, folder)
    with reading_data(run.data, settings.data):
        captions = training_captions(load_split(open_corpus(run, settings.data), "train", say), tokenizer)
    encoded = [tokenizer.encode(text, max_length=run.max_length) for own in captions for text in own]
    try:
        model = NgramGenerator.learn(encoded, vocabulary_size=len(tokenizer), order=settings.order)
    except ValueError as error:
        raise UserError(str(error)) from error
    model.save(settings.out, vocabulary=tokenizer.fingerprint)
    print(f"{settings.order}-grams of {len(encoded)} captions: {settings.out}", flush=True)


def load_language_model(
    model: str | Path, *, tokenizer: Tokenizer, device: torch.device, allow: str | Sequence[str] = ()
) -> Generator | TextJudge:
    """Return a language model of the captioner's tokens in eval mode, or else one that reads whole texts.

    Args:
        model: a file that `NgramGenerator.save` wrote; the folder of a run with `encoder=none`, of which the
            maximum-likelihood weights are taken; or a pretrained language model, see `text.pretrained_models`.
        tokenizer: of the captioner; an n-gram model or a run must have the same one.
        device: where it shall live.
        allow: packages of your own whose classes its run may name.

    Raises:
        UserError: it is missing, damaged, has seen images, or has another tokenizer.
    """
    path = at_home(model)
    if path.suffix == ".safetensors" or (os.path.isfile(path) and path.suffix != ".gguf"):
        return NgramGenerator.load(path, vocabulary=tokenizer.fingerprint).to(device).eval()
    if not os.path.isdir(path / "checkpoints"):
        return judging(str(model), tokenizer, device=device)
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


def adviser(
    language_model: Generator | TextJudge | None, tokenizer: Tokenizer, *, device: torch.device, fusion: float
) -> Generator:
    """Return the language model that advises at every word; see `shallow_fusion`.

    Args:
        language_model: as `load_language_model` returns it.
        tokenizer: the captioner's.
        device: where it shall live.
        fusion: its weight, for messages.

    Raises:
        UserError: there is none, or its tokens are not the captioner's.
    """
    if language_model is None:
        raise UserError(f"fusion={fusion}: with which language model? Give language_model=...")
    if isinstance(language_model, Generator):
        return language_model
    if isinstance(tokenizer, PretrainedTokenizer) and tokenizer.source.digest == language_model.source.digest:
        return ImagelessLM(language_model.source).to(device).eval()
    raise UserError(
        f"fusion={fusion}: {language_model.source.description} writes tokens of its own, which are not the "
        "captioner's, and cannot advise at every word: let it choose among captions, rerank.language_model=1 "
        "candidates=10, or fuse with n-grams (python -m gan_caption.language_model)"
    )


def reading(language_model: Generator | TextJudge, tokenizer: Tokenizer, *, length_penalty: float) -> Judge:
    """Return the judge by which a language model orders captions: log p over length ** length_penalty.

    Args:
        language_model: as `load_language_model` returns it.
        tokenizer: the captioner's.
        length_penalty: of length, in tokens, or in words for one that reads whole texts.
    """
    if isinstance(language_model, TextJudge):
        return LanguageModelReward(language_model=language_model, tokenizer=tokenizer, length_penalty=length_penalty)
    return LanguageModelLogLikelihood(language_model, length_penalty=length_penalty)
