"""The plain settings of `conf/config.yaml`: their types and ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gan_caption.errors import at_least, share


@dataclass(frozen=True, kw_only=True)
class VocabularySettings:
    """Of the vocabulary."""

    min_count: int
    """Rarer words become `<unk>`; at least 1."""

    def __post_init__(self) -> None:
        at_least(1, min_count=self.min_count)


@dataclass(frozen=True, kw_only=True)
class ValidationSettings:
    """Of validation and evaluation."""

    images: int | None
    """The first so many images, at least 2; None for all."""
    samples_per_image: int
    """At least 2: the diversity metrics compare samples of one image."""
    temperature: float
    """Of these samples, above 0."""
    batch_images: int
    """Images decoded at once, at least 1."""

    def __post_init__(self) -> None:
        at_least(2, images=self.images, samples_per_image=self.samples_per_image)
        at_least(1, batch_images=self.batch_images)
        if self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature}: above 0")


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
    max_length: int
    log_every: int
    save_every: int
    search_metric: str
    diversity_metric: str
    diversity_floor: float
    vocabulary: VocabularySettings
    validation: ValidationSettings
    shards: ShardSettings | None = None

    def __post_init__(self) -> None:
        at_least(0, seed=self.seed)
        at_least(1, threads=self.threads, log_every=self.log_every, save_every=self.save_every)
        at_least(2, max_length=self.max_length)  # a word and <eos>
        share(diversity_floor=self.diversity_floor)
