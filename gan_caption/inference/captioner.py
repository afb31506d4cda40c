"""A trained run in use: photographs in, captions out. Shapes: B images, N captions, T steps, R regions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor

from gan_caption.configuration.building import build
from gan_caption.configuration.launching import conf_dir
from gan_caption.configuration.planning import Absent
from gan_caption.data.captions import EOS
from gan_caption.data.corpus import Split
from gan_caption.data.features import ImageFeatures
from gan_caption.data.loading import load
from gan_caption.decoding.decoders import OWN, Decoder, Proposer, Reranked
from gan_caption.decoding.fusion import shallow_fusion
from gan_caption.decoding.rerank import Judge
from gan_caption.decoding.reweighted import Reweighted, SeveralReweighted
from gan_caption.discriminators.base import Discriminator, parts_of
from gan_caption.discriminators.set import of_sets
from gan_caption.distributed.world import say
from gan_caption.encoders.none import NoImage
from gan_caption.encoders.precomputed import Precomputed
from gan_caption.errors import UserError, at_least
from gan_caption.evaluation.trained import Trained, chosen_weights, left_discriminator, open_run
from gan_caption.generators.base import Generator
from gan_caption.generators.parts import log_probs_in_parts
from gan_caption.inference.confidence import read_curve
from gan_caption.inference.judges import JUDGED_AT_ONCE, chosen_judges
from gan_caption.inference.language_model import adviser, load_language_model, reading
from gan_caption.inference.photos import Photo, in_parts
from gan_caption.metrics.calibration import Logistic
from gan_caption.rewards.text_judge import TextJudge
from gan_caption.training.seeding import random_generator
from gan_caption.training.setup import decoding_of, offered_discriminator, offered_language_model

_BATCH, _TAKEN = 32, 256


@dataclass(frozen=True)
class Caption:
    """One caption of one image."""

    text: str
    """As the run's tokenizer decodes it: words joined by spaces, or characters without."""
    log_prob: float
    """log p(caption | image), nats, `<eos>` counted; of a generator with noise, at noise 0."""
    discriminator: float | None
    """How probable the run's discriminator finds it that a person wrote this, 0 to 1; None where the run has none."""
    attention: np.ndarray | None = None
    """(T, R) float32: where each token looked, rows summing to 1; row by row over the image where R is a square. None
    unless it was asked for, and where the generator has no attention."""
    tokens: tuple[str, ...] = ()
    """The text of each token, `<eos>` left out."""
    per_token: float = math.nan
    """log p(caption | image) / tokens, nats, `<eos>` counted in both."""
    confidence: float | None = None
    """How probably it is right, by the criterion that `gan_caption.calibrate` was given; None where it was not run for
    captions that come about like this one."""


@dataclass(frozen=True)
class Captioned:
    """An image's captions."""

    name: str
    """Its path, or "image 3" for the fourth photograph where that came without one; of a split the image's id."""
    captions: tuple[Caption, ...]
    """The best first."""

    @property
    def best(self) -> Caption:
        """The first."""
        return self.captions[0]


@dataclass(frozen=True)
class Unreadable:
    """An image that could not be read."""

    name: str
    """As in `Captioned`."""
    reason: str
    """In words, with the name."""


class Captioner:
    """Captions photographs with the weights, the tokenizer, the encoder and the decoding of a run."""

    def __init__(
        self,
        trained: Trained,
        *,
        decoder: Decoder,
        proposer: Proposer | None = None,
        candidates: int | None = None,
        judges: Mapping[str, Judge] | None = None,
        weights: Mapping[str, float] | None = None,
        discriminator: Discriminator | None = None,
        writer: Generator | None = None,
        phase: str = "",
        curve: Logistic | None = None,
    ) -> None:
        """Hold the parts; `load` makes them from a run folder.

        Args:
            trained: with its weights.
            decoder: for one caption an image, where no judges choose it.
            proposer: for more than one; None: as the decoder draws one, see `drawn_by`, or `usual_proposer`.
            candidates: how many that proposes, at least as many as are wanted; None: as many.
            judges: that order what is proposed, by name; see `Reranked`.
            weights: of these, and of the proposer's own scores.
            discriminator: whose opinion is told; not that of one that judges all captions of an image together.
            writer: what is decoded: None stands for the run's generator, which may be wrapped (see `shallow_fusion`).
            phase: that left the weights.
            curve: of the confidence of the decoder's captions; see `calibrating`.
        """
        self.trained = trained
        for network in (trained.captioner, trained.encoder, discriminator):
            if network is not None:
                network.eval()
        self.decoder = decoder
        self.proposer = proposer
        self.candidates = candidates
        self.judges = dict(judges or {})
        self.weights = dict(weights or {})
        self.discriminator = discriminator
        self._tells = discriminator is not None and not of_sets(discriminator)
        self.writer = trained.captioner.generator if writer is None else writer
        self.phase = phase
        self.curve = curve
        self.max_length: int = trained.settings.max_length

    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        weights: str | None = None,
        decoding: Mapping[str, Any] | None = None,
        proposer: Mapping[str, Any] | None = None,
        candidates: int | None = None,
        rerank: Mapping[str, float] | None = None,
        language_model: str | Path | None = None,
        fusion: float = 0.0,
        device: str = "auto",
        allow: str | Sequence[str] = (),
        confidence: bool = True,
    ) -> Captioner:
        """Load a run.

        Args:
            run: its folder.
            weights: the phase whose weights are meant ("mle", "adversarial"); None: those of the last phase that left
                some.
            decoding: a node of configuration, as `conf/decoding` has them; None: that of the phase which left the
                weights, or the run's own.
            proposer: the same for several captions, as `conf/proposer` has them; None: as `conf/caption.yaml` says.
            candidates: how many are proposed where `proposer` does not say it; None: as many as are wanted.
            rerank: weights by which candidates are ordered, "own", "discriminator" and "language_model"; see
                `conf/caption.yaml`. Where one of the last two is not 0, the best of the candidates is the caption also
                where one is wanted.
            language_model: the folder of a run with `encoder=none`, a file of n-grams, or a pretrained one by name; see
                `load_language_model`.
            fusion: its weight at every word; see `shallow_fusion`. A pretrained one must write the captioner's tokens.
            device: "auto", "cpu", "cuda" ...
            allow: packages of your own whose classes the run's configuration may name.
            confidence: whether that of captions is told, where the run has a curve of it.

        Raises:
            UserError: the folder holds no run that can be used; the message says what is the matter.
        """
        folder = Path(run)
        trained = open_run(folder, allow=allow, device=device)
        if isinstance(trained.encoder, Precomputed):
            raise UserError(
                f"run={folder}: another program extracted its features (encoder=precomputed), and they are of its own "
                "images alone: it cannot caption others. python -m gan_caption.evaluate captions its splits"
            )
        if isinstance(trained.encoder, NoImage):
            raise UserError(
                f"run={folder}: it sees no image (encoder=none), and would say the same of every photograph; it is a "
                f"language model: language_model={folder}"
            )
        phase = chosen_weights(folder, trained.settings, weights)
        trained.load(phase)
        discriminator = left_discriminator(
            folder, trained.settings, trained.encoder, trained.tokenizer, device=trained.device
        )
        usual = decoding_of(trained.settings, phase)
        allowed = usual.allowed
        named: Generator | TextJudge | None = None
        if language_model is not None:
            named = load_language_model(
                str(language_model), tokenizer=trained.tokenizer, device=trained.device, allow=allow
            )
        asked = _asked_by_a_decoder(trained, named)
        asked["split"] = Absent("it knows the images of a data set alone, and no others")
        offered = {"tokenizer": trained.tokenizer, **offered_discriminator(discriminator), **asked}
        decoder = build(decoding or usual.node, Decoder, path="decoding", allowed=allowed, **offered)
        several = build(proposer, Proposer, path="proposer", allowed=allowed) if proposer else None
        writer = trained.captioner.generator
        if fusion:
            advising = adviser(named, trained.tokenizer, device=trained.device, fusion=fusion)
            writer = shallow_fusion(writer, advising, weight=fusion)
        length_penalty = getattr(several or usual_proposer(1), "length_penalty", 0)
        reader = None
        if named is not None:
            reader = reading(named, trained.tokenizer, length_penalty=length_penalty)
        judges = chosen_judges(rerank or {}, discriminator, reader)
        chosen_by_it = isinstance(decoder, Reranked | Reweighted) and isinstance(named, TextJudge)
        if named is not None and not (fusion or chosen_by_it or (rerank or {}).get("language_model")):
            say(f"note: nothing asks language_model={language_model}: fusion=... or rerank.language_model=... does")
        # The curve is of what the run's own decoder writes: another language model writes, or chooses, something else.
        known = confidence and not fusion and not chosen_by_it
        curve = read_curve(folder, phase, decoding or usual.node) if known else None
        return cls(
            trained, decoder=decoder, proposer=several, candidates=candidates, judges=judges,
            weights={name: float((rerank or {}).get(name, 1.0)) for name in (OWN, *judges)},
            discriminator=discriminator, writer=writer, phase=phase, curve=curve,
        )  # fmt: skip

    @property
    def attends(self) -> bool:
        """Whether it can tell where it looked."""
        return type(self.trained.captioner.generator).attention_weights is not Generator.attention_weights

    @property
    def drawn_by(self) -> Reweighted | None:
        """Its decoder, where several captions come about as that draws one, weighing several samples; else None."""
        alone = self.proposer is None and not self.judges
        return self.decoder if alone and isinstance(self.decoder, Reweighted) else None

    def proposing(self, proposer: Proposer) -> Captioner:
        """Return the same captioner, several captions coming about in another way."""
        return Captioner(
            self.trained, decoder=self.decoder, proposer=proposer, judges=self.judges, weights=self.weights,
            discriminator=self.discriminator, writer=self.writer, phase=self.phase, curve=self.curve,
        )  # fmt: skip

    def caption(self, photo: Photo, *, count: int = 1, attention: bool = False, seed: int = 0) -> Captioned:
        """Caption one photograph; see `stream`.

        Raises:
            UserError: it cannot be read.
        """
        (told,) = self.stream([photo], count=count, attention=attention, seed=seed)
        if isinstance(told, Unreadable):
            raise UserError(told.reason)
        return told

    def stream(
        self, photos: Photo | Iterable[Photo] | Split, *, count: int = 1, attention: bool = False, seed: int = 0
    ) -> Iterator[Captioned | Unreadable]:
        """Caption photographs in batches, in order; what cannot be read is told in its place.

        Of an iterable some are taken at a time.

        Args:
            photos: paths, PIL images or arrays, or one of them, see `Photo`; or a split, whose images are read while
                they are captioned.
            count: captions an image. Of 1, the decoder's; of more, the proposer's best that differ, which may be fewer.
            attention: whether attention maps are wanted.
            seed: of what is sampled.

        Raises:
            UserError: fewer candidates than captions are proposed, judges have one candidate alone to choose from, or
                the split has no pictures.
        """
        at_least(1, count=count)
        if self.proposer is None:
            judging = "rerank" if self.judges else None
            check_candidates(count if self.candidates is None else self.candidates, wanted=count, judging=judging)
        proposer = self._proposer(count) if count > 1 or self.judges else None
        rng = random_generator(seed)
        waiting: list[tuple[str, Tensor | Unreadable]] = []
        for split in [photos] if isinstance(photos, Split) else in_parts(photos, _TAKEN):
            for row, loaded in load(split, range(len(split)), self.trained.encoder.preprocess):
                name = split.items[row].image_id
                waiting.append((name, Unreadable(name, str(loaded)) if isinstance(loaded, UserError) else loaded))
                if len(waiting) == _BATCH:
                    yield from self._batch(waiting, proposer, count, attention, rng)
                    waiting = []
        yield from self._batch(waiting, proposer, count, attention, rng)

    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Return the features of images (B, 3, H, W) uint8, as training saw them."""
        return self.trained.encoder.as_trained(pixels.to(self.trained.device))

    def _batch(
        self,
        loaded: Sequence[tuple[str, Tensor | Unreadable]],
        proposer: Proposer | None,
        count: int,
        attention: bool,
        rng: torch.Generator,
    ) -> Iterator[Captioned | Unreadable]:
        pixels = [one for _, one in loaded if isinstance(one, Tensor)]
        captions = iter(self._captions(torch.stack(pixels), proposer, count, attention, rng) if pixels else ())
        for name, one in loaded:
            yield one if isinstance(one, Unreadable) else Captioned(name, next(captions))

    def _captions(
        self, pixels: Tensor, proposer: Proposer | None, count: int, attention: bool, rng: torch.Generator
    ) -> list[tuple[Caption, ...]]:
        """Return the captions of each image, the best first: the decoder's where nothing proposes."""
        generator = self.trained.captioner.generator
        with torch.no_grad():
            features = self.encode(pixels)
            if proposer is None:
                captions = self.decoder(self.writer, features, max_length=self.max_length, rng=rng)
            else:
                found = proposer.candidates(self.writer, features, max_length=self.max_length, rng=rng)
                captions = found.best if count == 1 else found.captions
            log_probs = log_probs_in_parts(generator, features, captions).tolist()
            per_token = np.array(log_probs) / captions.lengths.cpu().numpy()
            told_of = self.curve if proposer is None else None  # the curve is of the decoder's captions
            confidences = None if told_of is None else told_of(per_token).tolist()
            opinions: Sequence[float | None] = [None] * len(captions)
            if self.discriminator is not None and self._tells:
                judged = parts_of(features, captions, JUDGED_AT_ONCE)
                opinions = [one for part in judged for one in self.discriminator.probability(*part).tolist()]
            maps = generator.attention_weights(features, captions) if attention else None
        decode = self.trained.tokenizer.decode
        own: list[dict[str, Caption]] = [{} for _ in range(len(features))]
        for row, image in enumerate(captions.images.tolist()):
            ids = captions.tokens[row, : captions.lengths[row]].tolist()
            text, tokens = decode(ids), tuple(decode([one]) for one in ids if one != EOS)
            looks = None if maps is None else maps[row, : len(ids)].cpu().numpy()
            told = Caption(text, log_probs[row], opinions[row], looks, tokens, float(per_token[row]),
                           None if confidences is None else confidences[row])  # fmt: skip
            own[image].setdefault(text, told)
        return [tuple(texts.values())[:count] for texts in own]

    def _proposer(self, count: int) -> Proposer:
        """Return what proposes, and orders, the candidates for so many captions of an image."""
        several = self.candidates or count
        if self.drawn_by is not None:
            return SeveralReweighted(samples=several, drawn_by=self.drawn_by)
        proposer = self.proposer or usual_proposer(several)
        if not self.judges:
            return proposer
        return Reranked(proposer=proposer, judges=self.judges, weights=self.weights)


def usual_proposer(candidates: int) -> Proposer:
    """Return what proposes so many captions of an image where nothing else is asked for: the command line's page."""
    page = OmegaConf.load(conf_dir() / "proposer" / "diverse_beam.yaml")
    return build(OmegaConf.create({"candidates": candidates, "page": page}).page, Proposer, path="proposer")


def check_candidates(candidates: int, *, wanted: int, judging: str | None) -> None:
    """Look whether there is something to choose from.

    Args:
        candidates: what is proposed of each image.
        wanted: captions of each.
        judging: the setting by which judges choose, where some do.

    Raises:
        UserError: there is not.
    """
    if candidates < wanted:
        raise UserError(f"candidates={candidates}: at least captions={wanted}")
    if judging and candidates < 2:
        raise UserError(f"{judging}: there is one candidate, and nothing to choose; give candidates=10, say")


def _asked_by_a_decoder(trained: Trained, named: Generator | TextJudge | None) -> dict[str, Any]:
    """Return the language model that a decoder may ask, or why there is none.

    It is the one that was named, else the run's own, of which nothing is looked for until it is asked.
    """
    if isinstance(named, Generator):
        reason = "n-grams and runs cannot answer: they advise, by fusion=... or rerank.language_model=..."
        return {"language_model": Absent(f"it asks a pretrained language model; {reason}")}
    own = trained.settings.language_model
    if named is None and own is not None:
        named = TextJudge(own, device=trained.device)
    return offered_language_model(named)
