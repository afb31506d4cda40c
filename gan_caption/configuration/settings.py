"""A run's whole configuration as one typed record: made once, from `conf/config.yaml` composed, and passed on."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from gan_caption.configuration.building import Part, read
from gan_caption.configuration.renamed import refuse_old_keys
from gan_caption.errors import above, at_least, share
from gan_caption.untrusted.parsing import shown

SHARED = ("size", "text_cnn", "lm", "discriminator_training", "adversarial", "discriminator_trainer")
"""Keys that exist for others to refer to: what none refers to is told, or refused where `config.yaml` lacks it."""
REFERRED_TO = (*SHARED, "vocabulary")
"""Keys that have an effect only where a part refers to them."""
WITHOUT_EFFECT = (
    "outputs", "resume", "tracker", "device", "threads", "cache", "log_every", "save_every", "search_metric",
    "diversity_metric", "diversity_floor", "shards", "lm",
)  # fmt: skip
"""Settings that do not change what is learned; who reads `lm` has what it read among its own."""
OF_ONE_MACHINE = (*WITHOUT_EFFECT, "pretrained", "pretrained_discriminator", "begin_from", "skip_unreadable",
                  "skip_missing", "allow")  # fmt: skip
"""Settings that say nothing of what was trained to somebody on another machine."""
SINCE = ("metrics", "skip_missing", "study", "holdout", "pretrained_discriminator", "initialisation", "begin_from",
         "language_model", "skip_unknown")  # fmt: skip
"""Settings that runs of before lack: what `conf/config.yaml` has for them is what these did."""


@dataclass(frozen=True, kw_only=True)
class VocabularySettings:
    """Of the vocabulary."""

    min_count: int | None
    """Rarer words become `<unk>`; at least 1. None: by the number of captions, from 1 to 5."""

    def __post_init__(self) -> None:
        at_least(1, min_count=self.min_count)


@dataclass(frozen=True, kw_only=True)
class ComparedValidation:
    """Of evaluations that are compared."""

    images: int | None
    """The first so many images, at least 2; None for all."""
    samples_per_image: int
    """At least 2: the diversity metrics compare samples of one image."""
    temperature: float | None
    """Of these samples, above 0; None: each run's own."""
    batch_images: int
    """Images decoded at once, at least 1."""

    def __post_init__(self) -> None:
        at_least(2, images=self.images, samples_per_image=self.samples_per_image)
        at_least(1, batch_images=self.batch_images)
        above(0, temperature=self.temperature)

    def of(self, run: ValidationSettings) -> ValidationSettings:
        """Return the settings with which a run is evaluated."""
        return ValidationSettings(
            images=self.images, samples_per_image=self.samples_per_image, batch_images=self.batch_images,
            temperature=run.temperature if self.temperature is None else self.temperature,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ValidationSettings(ComparedValidation):
    """Of validation and evaluation."""

    temperature: float


@dataclass(frozen=True, kw_only=True)
class HoldoutSettings:
    """Of the training images that some do not learn from; see `data.holdout`."""

    check: float
    """Expected share that nobody learns from, in [0, 1)."""
    discriminator: float
    """Expected share that only the discriminator learns from, in [0, 1); 0: it learns from the generator's."""
    fold: int
    """Which of the 1 / check disjoint parts nobody learns from, from 0."""

    def __post_init__(self) -> None:
        share(check=self.check, discriminator=self.discriminator)
        at_least(0, fold=self.fold)
        if self.check + self.discriminator >= 1:
            raise ValueError(f"check={self.check}, discriminator={self.discriminator}: together below 1")
        folds = math.floor(1 / self.check + 1e-9) if self.check else 1
        if self.fold >= folds:
            raise ValueError(f"fold={self.fold}: check={self.check} has {folds}, counted from 0")


@dataclass(frozen=True, kw_only=True)
class ShardSettings:
    """Of the shards that `prepare` writes."""

    folder: Path | None
    """A new one; None writes none."""
    content: Literal["photos", "features"]
    """The images' files, or the encoder's features instead."""
    samples: int
    """Of a shard, at least 1."""

    def __post_init__(self) -> None:
        at_least(1, samples=self.samples)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of a run."""

    name: str
    """Of the experiment."""
    study: str | None
    """What kind of budgets it has, where they are not its own: "cheap"; see `title`."""
    seed: int
    """Of weights, data order, dropout and sampling; at least 0."""
    device: str
    """"auto", "cpu", "cuda", "cuda:0" ...; see `choose_device`."""
    threads: int | None
    """Of the CPU, at least 1; None: one to train small networks, else the cores that are idle when it begins."""
    allow: list[str]
    """Packages of the user's own whose classes the parts may name; their code runs."""
    deterministic: bool
    """Whether algorithms that differ from run to run are avoided, or warned of where there are no others."""
    outputs: Path
    """The folder that run folders are made in."""
    cache: Path
    """The folder of extracted features."""
    resume: Literal["auto"] | Path | None
    """None: a new run; "auto": what is left to do of the same; or the folder of a run."""
    pretrained: Path | None
    """The folder of a run whose maximum-likelihood weights are the baseline; None trains them."""
    pretrained_discriminator: Path | None
    """The folder of a run whose discriminator is taken over, and no phase of it alone repeated; None trains it."""
    begin_from: Path | None
    """The folder of a run whose captioner this one begins with, its vocabulary extended; None begins at random."""
    skip_unreadable: bool
    """Whether images that cannot be read are left out; otherwise the first one ends the run."""
    skip_missing: bool
    """Whether listed images that are not there are left out; otherwise they end the run."""
    skip_unknown: bool
    """Whether captions with words that the vocabulary lacks are left out of what is learned from: a discriminator is
    never shown them, and a policy that learns from them matches other captions than it is shown."""
    max_length: int
    """Of a caption, in tokens, `<eos>` counted; at least 2."""
    log_every: int
    """Steps between records, at least 1."""
    save_every: int
    """Steps between checkpoints, at least 1; every validation is followed by one as well."""
    search_metric: str
    """The name of the validation metric that a search seeks the best of ..."""
    diversity_metric: str
    """... where this one ..."""
    diversity_floor: float | None
    """... is at least this, in its own unit and at least 0, or at most where less of it is better; None: whatever."""
    vocabulary: VocabularySettings
    """Of the tokenizer."""
    validation: ValidationSettings
    """Of validation during training, and of the final evaluation."""
    holdout: HoldoutSettings
    """Of the training images that some do not learn from."""
    shards: ShardSettings
    """Of what `prepare` writes."""
    data: Part
    """The corpus."""
    tokenizer: Part
    """From text to tokens."""
    encoder: Part
    """From images to features."""
    generator: Part
    """The policy."""
    initialisation: Part | None
    """Of the generator's weights; None: as its layers have it."""
    discriminator: Part | None
    """Of (image, caption) pairs; None where no phase and no reward needs one."""
    decoding: Part
    """How captions are written for validation and evaluation."""
    metrics: list[Part]
    """Of the user's own, besides the standard ones."""
    language_model: str | None
    """A pretrained one that judges captions: a metric, and what rewards and decoders may ask; None: none is loaded."""
    tracker: Part | None
    """What is told of the run besides its own files; None: nothing."""
    phases: dict[str, Part]
    """In their order, without those that are null."""
    given: dict[str, Any]
    """The mapping that all this was read from: what a run keeps, and is told apart by."""

    @property
    def title(self) -> str:
        """What tables, folders and W&B's groups call the experiment: `seqgan`, or `seqgan_cheap` of `+study=cheap`."""
        return self.name if self.study is None else f"{self.name}_{self.study}"

    def cached_in(self, cache: Path, *, skip_unreadable: bool | None = None) -> Settings:
        """Return the settings of a run that is read with this cache, for whatever its data keep there as well.

        A run folder may come from elsewhere, and says where its own writer's cache was.

        Args:
            cache: the reader's.
            skip_unreadable: whether the reader leaves damaged images out; None: as the run does.
        """
        skip = self.skip_unreadable if skip_unreadable is None else skip_unreadable
        own = {"cache": str(cache), "skip_unreadable": skip}
        node = {key: own.get(key, value) for key, value in self.data.node.items()}
        return replace(self, cache=cache, skip_unreadable=skip, data=replace(self.data, node=node))

    def __post_init__(self) -> None:
        at_least(0, seed=self.seed)
        at_least(1, threads=self.threads, log_every=self.log_every, save_every=self.save_every)
        at_least(2, max_length=self.max_length)  # a word and <eos>
        at_least(0, diversity_floor=self.diversity_floor)
        for phase in self.phases:
            if not re.fullmatch(r"[\w-]+", phase):  # files are named by it
                raise ValueError(f"phases: {shown(phase)} is no name: letters, digits, _ and -")
        for key, name in (("name", self.name), ("study", self.study)):
            if name is not None and (not name or re.search(r"[/\\\0]", name)):  # folders are named by them
                raise ValueError(f"{key}={shown(name)}: runs' folders, which it names, lie side by side in outputs")
        if self.begin_from is not None and self.pretrained is not None:
            raise ValueError("begin_from: maximum likelihood goes on from there, pretrained skips it; give one of them")
        if self.pretrained_discriminator is not None and self.pretrained is None:
            raise ValueError(
                "pretrained_discriminator: it learned from a baseline's samples; give pretrained=... for that baseline"
            )


def settings_from(config: Mapping[str, Any]) -> Settings:
    """Return a run's settings.

    Args:
        config: `conf/config.yaml`, composed and resolved.

    Raises:
        UserError: the first mistake, by its key; see `building.read`. What is inside the parts is not looked at.
    """
    refuse_old_keys(config)
    return read(Settings, config, besides=SHARED, given=dict(config))


OF_A_RUN = (*(field.name for field in fields(Settings)), *SHARED)
"""Keys of `conf/config.yaml`; a page of `conf/data` brings some of them, which suit its data, wherever it is chosen."""
