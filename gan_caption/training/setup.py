"""From configuration to a run: data, features, tokenizer, networks, phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from gan_caption.configuration.building import Part
from gan_caption.configuration.planning import Absent
from gan_caption.configuration.settings import Settings, settings_from
from gan_caption.configuration.wording import key_of
from gan_caption.data.compact import Groups, Texts
from gan_caption.data.corpus import Corpus, NoSplit, Split, check_items, locations_of
from gan_caption.data.features import FeatureSource
from gan_caption.decoding.decoders import Decoder
from gan_caption.discriminators.base import Discriminator
from gan_caption.distributed import processes, world
from gan_caption.distributed.world import say
from gan_caption.encoders.base import Encoder
from gan_caption.errors import UserError
from gan_caption.generators.base import Generator
from gan_caption.generators.initialisation import Initialisation
from gan_caption.metrics import Metric
from gan_caption.rewards.text_judge import TextJudge
from gan_caption.text.base import Tokenizer
from gan_caption.training.folders import BASELINE, has_learned, inside, read_json, write_json
from gan_caption.training.identity import KnownData
from gan_caption.training.networks import EncoderDecoder
from gan_caption.training.phases.base import Phase
from gan_caption.training.pretrained import AsItIs, Pretrained
from gan_caption.training.progress import Progress
from gan_caption.training.run import Run
from gan_caption.training.tokenizers import told
from gan_caption.training.tracking import Tracker

Report = Callable[[str], None]

NETWORKS = {"pooled_size", "grid_size", "vocabulary_size"}
"""What generators and discriminators are told by the program."""
ENCODER = "encoder.json"
"""In a run's folder: which frozen encoder it has."""
LANGUAGE_MODEL = "language_model.json"
"""In a run's folder: which language model judges its captions."""
DECODERS = {"discriminator", "language_model", "split", "tokenizer"}
"""What decoders are told by the program, and what judges for them."""
PARTS = {"references", "reference", "policy", "device", *DECODERS, *NETWORKS}
"""What the parts of a phase are told by the program."""
OF_THE_PARTS = {"data": {"skip_missing"}, "generator": NETWORKS, "discriminator": {"policy_tokenizer", *NETWORKS},
                "decoding": DECODERS,
                "tracker": {"folder", "group", "name", "job_type", "configuration", "run_id"}}  # fmt: skip
"""What else is told by the program, by the part that is told."""


def check_configuration(config: Mapping[str, Any]) -> Settings:
    """Check every key of a configuration, its type, and the ranges of what is no part; build nothing large.

    Ranges inside phases, gates and optimizers are those of their classes, which refuse them when they are built: before
    anything is trained.

    Returns:
        the configuration as a record.

    Raises:
        UserError: the first mistake, by its key.
    """
    _check_text(config, "")
    settings = settings_from(config)
    own_metrics(settings.metrics)
    check_parts(
        (settings.data, Corpus), (settings.tokenizer, Tokenizer), (settings.encoder, Encoder),
        (settings.generator, Generator), (settings.initialisation, Initialisation),
        (settings.discriminator, Discriminator), (settings.decoding, Decoder), (settings.tracker, Tracker),
    )  # fmt: skip
    for part in settings.phases.values():
        part.check(Phase, PARTS)
    return settings


def check_parts(*parts: tuple[Part | None, type]) -> None:
    """Check parts that are there, each of which shall be of a kind.

    Raises:
        UserError: the first mistake, by its key.
    """
    for part, kind in parts:
        if part is not None:
            part.check(kind, OF_THE_PARTS.get(part.path, ()))


def _check_text(node: Any, path: str) -> None:
    """Refuse values that no file of text can hold: names of folders that are no UTF-8, which Python reads as halves."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            _check_text(value, key_of(path, key))
    elif isinstance(node, list | tuple):
        for place, value in enumerate(node):
            _check_text(value, f"{path}[{place}]")
    elif isinstance(node, str) and any("\ud800" <= sign <= "\udfff" for sign in node):
        raise UserError(f"{path}={node!r} is no UTF-8, and a run's config.json could not be read again: rename it")


def own_metrics(parts: Sequence[Part]) -> list[Metric]:
    """Return the metrics of one's own that a configuration names.

    Raises:
        UserError: a node is faulty, or what it names is no metric.
    """
    return [part.build(Metric) for part in parts]


def own_decoding(settings: Settings) -> dict[str, Part]:
    """Return by phase, where a phase has a way of decoding of its own, that."""
    return {
        name: Part(part.node["decoding"], f"{part.path}.decoding", part.allowed)
        for name, part in settings.phases.items()
        if part.node.get("decoding") is not None
    }


def decoding_of(settings: Settings, phase: str) -> Part:
    """Return how captions are written with the weights that a phase left: its own way, else the run's."""
    return own_decoding(settings).get(phase, settings.decoding)


def choose_device(name: str) -> torch.device:
    """Return the device by name; "auto" takes a GPU where there is one.

    Raises:
        UserError: the device is unknown or not there.
    """
    if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
        name = str(processes.own_gpu()) if torch.cuda.is_available() else name
    if name == "auto":
        return torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device={name} cannot be used ({reason}): allowed are auto, cpu, cuda, cuda:0 ...") from error
    if device.type == "cuda":
        if world.size() > 1 and device != processes.own_gpu():
            raise UserError(f"device={name}: of several processes each takes its own GPU; give device=cuda, or cpu")
        torch.cuda.set_device(device)
    return device


def open_corpus(settings: Settings, data: Part | None = None) -> Corpus:
    """Return the corpus of a run, or another one that is read as the run's settings say."""
    return (data or settings.data).build(Corpus, skip_missing=settings.skip_missing)


def load_split(corpus: Corpus, name: str, report: Report) -> Split:
    """Return a split of a corpus, and say what of it stays unused."""
    try:
        split = corpus.split(name)
    except OSError as error:
        raise UserError(f"the images of {name} cannot be looked for: {error}") from error
    check_items(split)
    for note in split.notes:
        report(f"{name}: {note}")
    return split


def load_tested(corpus: Corpus, report: Report, name: str = "test") -> Split:
    """Return the images of a final table: some that selected nothing, where there are any.

    Args:
        corpus: the data set.
        report: is told what stays unused, and what stands in.
        name: of the split; the validation images stand in for a test split alone.

    Raises:
        NoSplit: the corpus has none of this name, which is not test.
        UserError: they are faulty.
    """
    try:
        return load_split(corpus, name, report)
    except NoSplit as error:
        if name != "test":
            raise
        report(f"no test split ({error}); the validation images, which also choose the weights, stand in")
        return load_split(corpus, "val", report)


class Data:
    """The corpus of a run, and the splits that it is trained and validated on: each read when it is first asked for."""

    def __init__(self, settings: Settings, report: Report) -> None:
        """Build the corpus."""
        self.corpus = open_corpus(settings)
        self._report = report

    @cached_property
    def train(self) -> Split:
        """The images to learn from."""
        return load_split(self.corpus, "train", self._report)

    @cached_property
    def val(self) -> Split:
        """The images to validate on."""
        return load_split(self.corpus, "val", self._report)

    def known(self) -> KnownData | None:
        """Return what tells these data from others, wherever they lie; None where their settings do.

        Raises:
            UserError: they are missing or faulty.
        """
        locations = locations_of(self.corpus)
        if locations == ():
            return None
        return KnownData({"train": self.train.fingerprint, "val": self.val.fingerprint}, locations or ())


def open_features(settings: Settings, encoder: Encoder, split: Split, *, device: torch.device) -> FeatureSource:
    """Return the features of a split's images, extracting what the cache lacks."""
    progress: Progress | None = None

    def tell(done: int, total: int) -> None:
        nonlocal progress
        if progress is None:
            progress = Progress(phase=f"features of {split.name}", total=total, start=done)
            progress.__enter__()
        progress.update(done)

    try:
        source = encoder.source(
            split, cache=settings.cache, skip_unreadable=settings.skip_unreadable, device=device, progress=tell
        )
    finally:
        if progress is not None:
            progress.__exit__(None, None, None)
    if lost := len(split) - len(source.split):
        say(f"{lost} of {len(split)} {split.name} images cannot be read, and are left out")
    return source


def build_encoder(settings: Settings, *, device: torch.device) -> Encoder:
    """Build the encoder from its seed."""
    torch.manual_seed(settings.seed)
    return settings.encoder.build(Encoder).to(device)


def keep_encoder(encoder: Encoder, folder: Path) -> None:
    """Note in a run's folder which published weights its features come from.

    Raises:
        UserError: the run has learned from others; see `check_encoder`.
    """
    if has_learned(folder):
        check_encoder(encoder, folder)
    if not encoder.finetune:
        write_json(folder / ENCODER, {"fingerprint": encoder.fingerprint, "description": encoder.description})


def check_encoder(encoder: Encoder, folder: Path) -> None:
    """Refuse an encoder that is another one than the run was trained with.

    Raises:
        UserError: its weights, its architecture or its preprocessing have changed, with a package's version say.
    """
    path = inside(folder, ENCODER)
    if encoder.finetune or not path.exists() or not any(True for _ in encoder.parameters()):
        return
    told = read_json(path)
    if told.get("fingerprint") != encoder.fingerprint:
        raise UserError(
            f"run={folder}: this environment's encoder is not the run's. It had {told.get('description')}; here is "
            f"{encoder.description}. Choose its encoder, or install the packages that it was trained with"
        )


def build_captioner(
    settings: Settings, encoder: Encoder, tokenizer: Tokenizer, *, device: torch.device
) -> EncoderDecoder:
    """Build the generator from its seed, and join it to the encoder where that learns."""
    torch.manual_seed(settings.seed + 1)
    sizes: dict[str, Any] = {"pooled_size": encoder.pooled_size, "grid_size": encoder.grid_size}
    generator = settings.generator.build(Generator, vocabulary_size=len(tokenizer), **sizes)
    if settings.initialisation is not None:
        settings.initialisation.build(Initialisation)(generator)
    return EncoderDecoder(generator, encoder if encoder.finetune else None).to(device)


def build_discriminator(
    settings: Settings, encoder: Encoder, tokenizer: Tokenizer, own: Tokenizer | None, *, device: torch.device
) -> Discriminator | None:
    """Build the discriminator from its seed, where the configuration names one, and let the encoder show what it reads.

    Args:
        settings: of the run.
        encoder: of the run.
        tokenizer: the generator's.
        own: the discriminator's, where it has one; see `training.tokenizers`.
        device: where it shall live.

    Raises:
        UserError: it reads pixels, and the encoder is a frozen one.
    """
    part = settings.discriminator
    if part is None:
        return None
    torch.manual_seed(settings.seed + 2)
    offered = {"pooled_size": encoder.pooled_size, "grid_size": encoder.grid_size, "policy_tokenizer": tokenizer}
    if own is None:
        network = part.build(Discriminator, vocabulary_size=len(tokenizer), **offered)
    else:
        network = told(part, own).build(Discriminator, vocabulary_size=len(own), **offered)
    if network.uses_pixels:
        encoder.show_pixels()
    return network.to(device)


def offered_discriminator(discriminator: Discriminator | None) -> dict[str, Any]:
    """Return the run's discriminator as the parts are offered it, or the reason why there is none."""
    none = Absent("it asks the run's discriminator, and this run has none; one of +experiment=seqgan (say) has")
    return {"discriminator": none if discriminator is None else discriminator}


def open_language_model(name: str | None, tokenizer: Tokenizer, *, device: torch.device) -> TextJudge | None:
    """Return the language model that judges captions, where one is named; see `judging`."""
    return None if name is None else judging(name, tokenizer, device=device)


def judging(name: str, tokenizer: Tokenizer, *, device: torch.device) -> TextJudge:
    """Return the language model of this name, which judges captions: found now, and loaded when it is first asked.

    Raises:
        UserError: there is no such model, or captions are not counted by word.
    """
    if tokenizer.counted_by != "word":
        raise UserError(
            f"language_model={name} reads sentences of words, and these captions are counted by "
            f"{tokenizer.counted_by}: leave it out"
        )
    judge = TextJudge(name, device=device)
    judge.find()  # what is missing is told before anything that takes long
    return judge


def offered_language_model(language_model: TextJudge | None) -> dict[str, Any]:
    """Return the run's language model as the parts are offered it, or the reason why there is none."""
    none = Absent(
        "it asks a language model, and none is named; give language_model=smollm2 (say) "
        "where the command takes one: train, evaluate and caption do"
    )
    return {"language_model": none if language_model is None else language_model}


def keep_language_model(language_model: TextJudge, folder: Path) -> None:
    """Note in a run's folder which language model judges its captions.

    Raises:
        UserError: the run began with another one of the same name.
    """
    path, source = inside(folder, LANGUAGE_MODEL), language_model.source
    if path.exists() and (told := read_json(path)).get("digest") != source.digest:
        raise UserError(
            f"language_model={language_model.model}: the run in {folder} began with {told.get('description')} (digest "
            f"{str(told.get('digest'))[:16]}), and here is {source.description} (digest {source.digest[:16]}): give "
            "the same one"
        )
    write_json(path, {"description": source.description, "digest": source.digest})


def build_phases(settings: Settings, run: Run, encoder: Encoder) -> dict[str, Phase]:
    """Build the schedule; parts that need the discriminator or the references are given the run's."""
    offered: dict[str, Any] = {
        "references": run.references, "device": run.device, "vocabulary_size": len(run.tokenizer),
        "pooled_size": encoder.pooled_size, "grid_size": encoder.grid_size, "split": run.source.split,
        "tokenizer": run.tokenizer, "policy": AsItIs(run.captioner),
        "reference": Pretrained(
            run.captioner, run.best_weights(BASELINE), run.tokenizer, left=lambda: BASELINE in run.selected
        ),
    }  # fmt: skip
    offered |= offered_discriminator(run.networks.discriminator) | offered_language_model(run.language_model)
    if not settings.phases:
        raise UserError("phases is empty: a run needs at least one, such as those of +experiment=mle")
    return {name: part.build(Phase, **offered) for name, part in settings.phases.items()}


def training_captions(split: Split, tokenizer: Tokenizer) -> Groups[str]:
    """Return every image's captions as `tokenizer.normalize` leaves them: on disk, so that memory does not grow."""
    sizes: list[int] = []

    def texts() -> Iterator[str]:
        for item in split.items:
            sizes.append(len(item.captions))
            yield from tokenizer.normalize(list(item.captions))

    told = Texts(texts())  # which fills `sizes`
    return Groups(told, sizes)
