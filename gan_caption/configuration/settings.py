"""A run's whole configuration as one typed record: made once, from `conf/config.yaml` composed, and passed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from gan_caption.configuration.building import Part, read
from gan_caption.configuration.renamed import refuse_old_keys
from gan_caption.errors import at_least, share

SHARED = ("size", "discriminator_training", "adversarial", "discriminator_trainer")
"""Keys that exist for others to refer to; they are checked where they are used."""
WITHOUT_EFFECT = (
    "outputs", "resume", "tracker", "device", "threads", "cache", "log_every", "save_every", "search_metric",
    "diversity_metric", "diversity_floor", "shards",
)  # fmt: skip
"""Settings that do not change what is learned."""
OF_ONE_MACHINE = (*WITHOUT_EFFECT, "pretrained", "skip_unreadable", "skip_missing", "allow")
"""Settings that say nothing of what was trained to somebody on another machine."""
SINCE = ("metrics", "skip_missing")
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
        if self.temperature is not None and self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature}: above 0")

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
class ShardSettings:
    """Of the shards that `prepare` writes."""

    folder: str | None
    """A new one; None writes none."""
    content: Literal["photos", "features"]
    """The images' files, or the encoder's features instead."""
    samples: int
    """Of a shard, at least 1."""

    def __post_init__(self) -> None:
        at_least(1, samples=self.samples)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of a run; `conf/config.yaml` says what each means."""

    name: str
    seed: int
    device: str
    threads: int | None
    allow: list[str]
    deterministic: bool
    outputs: str
    cache: str
    resume: str | None
    pretrained: str | None
    skip_unreadable: bool
    skip_missing: bool
    max_length: int
    log_every: int
    save_every: int
    search_metric: str
    diversity_metric: str
    diversity_floor: float
    vocabulary: VocabularySettings
    validation: ValidationSettings
    shards: ShardSettings
    data: Part
    tokenizer: Part
    encoder: Part
    generator: Part
    discriminator: Part | None
    decoding: Part
    metrics: list[Part]
    """Of one's own."""
    tracker: Part | None
    phases: dict[str, Part]
    """In their order, without those that are null."""
    given: dict[str, Any]
    """The mapping that all this was read from: what a run keeps, and is told apart by."""

    def __post_init__(self) -> None:
        at_least(0, seed=self.seed)
        at_least(1, threads=self.threads, log_every=self.log_every, save_every=self.save_every)
        at_least(2, max_length=self.max_length)  # a word and <eos>
        share(diversity_floor=self.diversity_floor)


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
