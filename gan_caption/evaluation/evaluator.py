"""Decode a split and measure the captions: the one function behind validation, the final table and `evaluate`.

Shapes: B images a batch, K samples an image, T steps.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import torch

from gan_caption.configuration.settings import Settings
from gan_caption.data.captions import EOS, UNK, Captions, captions_from_ids
from gan_caption.data.features import FeatureSource, ImageFeatures
from gan_caption.decoding.decoders import Decoder, Reranked, Sampler, Sampling
from gan_caption.decoding.reweighted import Reweighted
from gan_caption.discriminators.base import Discriminator
from gan_caption.distributed import world
from gan_caption.evaluation.batches import batches_of, grouped, of_all
from gan_caption.evaluation.likelihood import ENDS, ReferenceNLL, has_limit, limit_metrics, reference_nll
from gan_caption.evaluation.scores import Scores, frequencies_of, score
from gan_caption.evaluation.text_metrics import language_model_metrics
from gan_caption.generators.base import Generator
from gan_caption.metrics.divergence import jensen_shannon
from gan_caption.metrics.metric import Metric, Metrics, Predictions, corpus_value, measure
from gan_caption.metrics.separation import separation
from gan_caption.metrics.standard import LEARNED_BY_HEART, SAMPLE_VARIETY, VARIETY, catalogue
from gan_caption.modes import evaluating
from gan_caption.rewards.text_judge import TextJudge
from gan_caption.text.base import Tokenizer
from gan_caption.training.networks import EncoderDecoder
from gan_caption.training.seeding import shared_generator
from gan_caption.training.setup import offered_discriminator, offered_language_model, own_decoding, own_metrics
from gan_caption.training.validation import Evaluation


def reads_grid(generator: Generator, *decoders: Decoder | Sampler) -> bool:
    """Tell whether features need their grid: for the policy, or for a judge of its captions, who may read it."""
    return generator.uses_grid or any(isinstance(one, Reweighted | Reranked) for one in decoders)


def knowledge_of(real: Sequence[float], generated: Sequence[float]) -> dict[str, float]:
    """Return the metrics `discriminator_...` of its logits; nothing where people wrote no caption without `<unk>`."""
    found = separation(real, generated)._asdict() if real else {}
    return {f"discriminator_{name}": value for name, value in found.items()}


class Evaluator:
    """Measures captioners on one split, always in the same way.

    Its random numbers are its own: evaluating more or less often changes nothing in the training. Every rank decodes
    its part of each batch, and is told what all have written.
    """

    def __init__(
        self,
        source: FeatureSource,
        tokenizer: Tokenizer,
        *,
        decoder: Decoder,
        decoders: Mapping[str, Decoder] | None = None,
        training_captions: Container[str],
        max_length: int,
        metrics: Metrics | None = None,
        samples_per_image: int = 5,
        temperature: float = 1.0,
        batch_images: int = 100,
        device: torch.device,
    ) -> None:
        """Tokenize the references once.

        Args:
            source: features of the split.
            tokenizer: of the captioner.
            decoder: for the one caption an image.
            decoders: in its place, by the phase that left the weights.
            training_captions: a set of them, as the metrics read them; to tell which captions were learned by heart.
            max_length: in tokens, `<eos>` counted.
            metrics: all that final tables show; None: those of every run, and the corpus' own.
            samples_per_image: K, for the diversity metrics; at least 2.
            temperature: of these samples, and of the distribution whose NLL is measured; a decoder that reweighs
                samples has its own.
            batch_images: B.
            device: where the captioner lives.
        """
        self.source = source
        self.tokenizer = tokenizer
        self.decoder = decoder
        self.decoders = decoders or {}
        self.training_captions = training_captions
        self.max_length = max_length
        self.samples_per_image = samples_per_image
        self.sampling = Sampling(temperature=temperature, top_k=0, top_p=1.0)
        self.batch_images = batch_images
        self.device = device
        self.all_metrics = catalogue(*source.split.metrics) if metrics is None else metrics
        self.metrics = {name: metric for name, metric in self.all_metrics.items() if metric.validated}
        self.written = [tokenizer.normalize(list(item.captions)) for item in source.split.items]
        self.references = [tokenizer.tokenized(own) for own in self.written]
        self.frequencies = frequencies_of(source.split.name, self.references)
        self.image_ids = [item.image_id for item in source.split.items]

    def evaluate(
        self, captioner: EncoderDecoder, *, phase: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Evaluation:  # fmt: skip
        """Decode, sample and score the whole split.

        Args:
            captioner: on the evaluator's device; its mode and gradients are left as they were.
            phase: which left the weights, for its own way of decoding where it has one.
            progress: told (images done, images in all).
        """
        generator, decoder, sampler = captioner.generator, self._decoder(phase), self.sampler(phase)
        rng, scoring = shared_generator(0), shared_generator(1)
        captions: list[list[str]] = []
        samples: list[list[Sequence[str]]] = []
        nll = tokens = low = high = 0.0
        with evaluating(captioner):
            for batch in self._batches():
                rows = world.own_of(batch)
                features = self._features(rows, grid=reads_grid(generator, decoder, sampler))
                decoded = decoder(generator, features, max_length=self.max_length, rng=rng)
                captions.append(self._words(decoded.tokens))
                samples.append(self._draw(generator, features, sampler, rng))
                told = self._reference_nll(generator, features, rows, sampler, scoring)
                nll, tokens, low, high = nll + told.nats, tokens + told.tokens, low + told.ends[0], high + told.ends[1]
                if progress is not None:
                    progress(batch.stop, len(self.source.split))
        written, drawn = of_all(captions), of_all(samples)
        predictions = self.predictions(written, drawn)
        metrics = world.from_main(lambda: self.measure(predictions))
        nll, tokens, low, high = map(sum, zip(*world.everyone((nll, tokens, low, high)), strict=True))
        references = float(sum(map(len, self.written)))
        metrics |= {"nll_per_token": nll / tokens, "nll_per_caption": nll / references}
        if has_limit(sampler, captioner.generator):
            metrics |= limit_metrics((low, high), tokens=tokens, captions=references)
        return Evaluation(metrics, written, drawn, predictions)

    def _decoder(self, phase: str | None) -> Decoder:
        return self.decoder if phase is None else self.decoders.get(phase, self.decoder)

    def sampler(self, phase: str | None = None) -> Sampler:
        """Return the distribution whose samples are measured, of the weights that a phase left."""
        return decoder if isinstance(decoder := self._decoder(phase), Reweighted) else self.sampling

    def sampler_at(self, phase: str | None, *, temperature: float, top_p: float) -> Sampler:
        """Return the same at another temperature and nucleus: of the policy, or of the samples that are reweighed."""
        decoder = self._decoder(phase)
        if isinstance(decoder, Reweighted):
            return replace(decoder, temperature=temperature, top_p=top_p)
        return Sampling(temperature=temperature, top_k=0, top_p=top_p)

    def sample(
        self, captioner: EncoderDecoder, sampler: Sampler, *, progress: Callable[[int], None] | None = None
    ) -> list[Sequence[str]]:
        """Return K samples of every image of the split from a distribution.

        Args:
            captioner: on the evaluator's device.
            sampler: the distribution.
            progress: told the images done.
        """
        generator, rng = captioner.generator, shared_generator(0)
        samples: list[list[Sequence[str]]] = []
        with evaluating(captioner):
            for batch in self._batches():
                rows = world.own_of(batch)
                features = self._features(rows, grid=reads_grid(generator, sampler))
                samples.append(self._draw(generator, features, sampler, rng))
                if progress is not None:
                    progress(batch.stop)
        return of_all(samples)

    def judged(self, discriminator: Discriminator, captions: Sequence[Sequence[str]]) -> list[list[float]]:
        """Return the logits of the probability with which a discriminator takes captions for a person's.

        Args:
            discriminator: on the evaluator's device, of the evaluator's tokenizer.
            captions: any number an image, as the tokenizer decodes or normalizes them, and encodes them again.
        """
        told: list[list[list[float]]] = []
        with evaluating(discriminator):
            for rows in map(world.own_of, self._batches()):
                features = self._features(rows, grid=discriminator.uses_grid)
                batch, sizes = self._encoded([captions[row] for row in rows])
                told.append(grouped(discriminator.logit(features, batch).tolist(), sizes))
        return of_all(told)

    def knowledge(self, discriminator: Discriminator, samples: Sequence[Sequence[str]]) -> dict[str, float]:
        """Measure how well a discriminator tells samples from people's captions: `knowledge_of` its `opinions`."""
        return knowledge_of(*self.opinions(discriminator, samples))

    def opinions(
        self, discriminator: Discriminator, samples: Sequence[Sequence[str]]
    ) -> tuple[list[float], list[float]]:
        """Return the logits with which a discriminator takes people's captions for theirs, and those of samples.

        People's captions are those without `<unk>`, as in its training, of an image at most K; samples are as many.

        Args:
            discriminator: on the evaluator's device, of the evaluator's tokenizer.
            samples: K an image.
        """
        people = self.people(len(samples[0]))
        drawn = [own[: len(told)] for own, told in zip(samples, people, strict=True)]
        real, generated = (self.judged(discriminator, captions) for captions in (people, drawn))
        return list(chain.from_iterable(real)), list(chain.from_iterable(generated))

    def possible(
        self, captioner: EncoderDecoder, samples: Sequence[Sequence[str]], sampler: Sampler
    ) -> dict[str, float]:
        """Measure how far samples are from people, by both exact densities, of text that is encoded again (subwords).

        Args:
            captioner: which drew the samples.
            samples: K an image.
            sampler: the distribution that they were drawn from.

        Returns:
            `jsd`, the Jensen-Shannon divergence to people's, and `best_...`, what the best discriminator knows; nothing
            where a density is not known (noise), or no caption of people can be written.
        """
        split, written = self.source.split, [own[: len(samples[0])] for own in self.written]
        known = not captioner.generator.noise_size and split.log_density(0, samples[0][0]) is not None
        if not known or not any(people := [self._can_be_said(own) for own in written]):
            return {}
        # In one go: where samples are resampled, the candidates by which densities are estimated serve both kinds.
        pairs = list(zip(people, samples, strict=True))
        ratios = self.log_ratios(captioner, [[*human, *own] for human, own in pairs], sampler)
        are_people = np.repeat([True, False] * len(pairs), [len(captions) for pair in pairs for captions in pair])
        unsaid = sum(map(len, written)) - sum(map(len, people))  # which it never writes
        told = [*ratios[are_people], *[np.inf] * unsaid], ratios[~are_people]
        knowledge = separation(*told)
        best = {f"best_{name}": value for name, value in knowledge._asdict().items()}
        return {"jsd": jensen_shannon(*told), **best}

    def log_ratios(self, captioner: EncoderDecoder, captions: Sequence[Sequence[str]], sampler: Sampler) -> np.ndarray:
        """Return log p_data - log q of captions of every image, (M,) nats, where the split knows p_data; see `scored`.

        It is the logit of the best discriminator that there can be.
        """
        told = []
        for row, (own, log_probs) in enumerate(zip(captions, self.scored(captioner, captions, sampler), strict=True)):
            for caption, log_prob in zip(own, log_probs, strict=True):
                density = self.source.split.log_density(row, caption)
                assert density is not None
                cut = EOS not in self.tokenizer.encode(caption, max_length=self.max_length + 1)  # q writes no such one
                told.append(np.inf if cut and density > -np.inf else density - log_prob)
        return np.array(told)

    def people(self, at_most: int) -> list[list[str]]:
        """Return what people wrote of each image and can be said; of more captions so many, by lot: some files sort."""
        rng, kept = np.random.default_rng(1), map(self._can_be_said, self.written)
        return [[own[one] for one in sorted(rng.permutation(len(own))[:at_most])] for own in kept]

    def _can_be_said(self, captions: Sequence[str]) -> list[str]:
        return [text for text in captions if UNK not in self.tokenizer.encode(text, max_length=self.max_length)]

    def scored(
        self, captioner: EncoderDecoder, captions: Sequence[Sequence[str]], sampler: Sampler
    ) -> list[list[float]]:
        """Return log q(caption | image) in nats of a distribution, for captions of every image.

        Args:
            captioner: on the evaluator's device.
            captions: any number an image, as the tokenizer decodes or normalizes them.
            sampler: q.
        """
        generator, rng = captioner.generator, shared_generator(1)
        told: list[list[list[float]]] = []
        with evaluating(captioner):
            for rows in map(world.own_of, self._batches()):
                features = self._features(rows, grid=reads_grid(generator, sampler))
                batch, sizes = self._encoded([captions[row] for row in rows])
                log_probs = sampler.log_probs(generator, features, batch, max_length=self.max_length, rng=rng)
                told.append(grouped(log_probs.tolist(), sizes))
        return of_all(told)

    def _encoded(self, captions: Sequence[Sequence[str]]) -> tuple[Captions, list[int]]:
        """Return captions of a batch of images as tokens, and how many each image has."""
        encoded = [self.tokenizer.encode(text, max_length=self.max_length) for own in captions for text in own]
        images = [image for image, own in enumerate(captions) for _ in own]
        return captions_from_ids(encoded, images).to(self.device), [len(own) for own in captions]

    def _draw(
        self, generator: Generator, features: ImageFeatures, sampler: Sampler, rng: torch.Generator
    ) -> list[Sequence[str]]:
        """Return K samples of each image of a batch."""
        count = self.samples_per_image
        drawn = sampler.several(generator, features, samples=count, max_length=self.max_length, rng=rng)
        texts = self._words(drawn.tokens)
        return [texts[first : first + count] for first in range(0, len(texts), count)]

    def _features(self, rows: Sequence[int], *, grid: bool) -> ImageFeatures:
        """Return the features of some images of the split, and whose they are."""
        features = self.source.features(rows, grid=grid, device=self.device)
        return replace(features, rows=torch.tensor(rows, dtype=torch.long, device=self.device))

    def _batches(self) -> list[range]:
        return batches_of(len(self.source.split), self.batch_images)

    def predictions(self, captions: Sequence[str], samples: Sequence[Sequence[str]]) -> Predictions:
        """Set captions, one an image, and samples, K an image, beside what people wrote, all as the metrics read it."""
        told, several = self.tokenizer.tokenized(captions), [self.tokenizer.tokenized(own) for own in samples]
        return Predictions(told, several, self.references, self.frequencies, self.training_captions, self.image_ids)

    def measure(self, predictions: Predictions) -> dict[str, float]:
        """Return what a validation measures of predictions, by name."""
        return {name: corpus_value(value) for name, value in measure(self.metrics.values(), predictions).items()}

    def scores(self, evaluation: Evaluation) -> Scores:
        """Return every metric with its interval over images, beside what humans score: for final tables."""
        return score(evaluation.predictions, self.all_metrics)

    def humans(self) -> dict[str, float]:
        """Return what the references score where a metric looks at captions alone, or at the corpus' truth."""
        count, written = self.samples_per_image, self.written
        told = self.predictions([own[0] for own in written], [own[:count] for own in written])
        several = SAMPLE_VARIETY if all(len(own) >= count for own in written) else ()  # fewer have fewer words
        alone = [metric for metric in (*VARIETY, *several) if metric.name in self.metrics]
        known = [metric for metric in self.source.split.metrics if not metric.compares]
        return {name: corpus_value(value) for name, value in measure([*alone, *known], told).items()}

    def _words(self, tokens: torch.Tensor) -> list[str]:
        return [self.tokenizer.decode(row) for row in tokens.tolist()]

    def limit(self, captioner: EncoderDecoder, sampler: Sampler) -> dict[str, np.ndarray]:
        """Return what people's captions of each image cost under p w / Z, (N,) by metric, in nats a caption.

        Args:
            captioner: on the evaluator's device.
            sampler: what resamples its captions; of one without such a limit nothing is returned.
        """
        if not has_limit(sampler, captioner.generator):
            return {}
        generator, rng = captioner.generator, shared_generator(1)
        told: list[list[tuple[float, float]]] = []
        with evaluating(captioner):
            for rows in map(world.own_of, self._batches()):
                features = self._features(rows, grid=reads_grid(generator, sampler))
                told.append(self._reference_nll(generator, features, rows, sampler, rng).limit)
        nats = np.array(of_all(told)) / np.array([[len(own)] for own in self.written])
        return {f"limit_nll_per_caption_{end}": own for end, own in zip(ENDS, nats.T, strict=True)}

    def _reference_nll(
        self, generator: Generator, features: ImageFeatures, rows: Sequence[int], sampler: Sampler, rng: torch.Generator
    ) -> ReferenceNLL:
        """Score the references of some images; a sampler that reweighs nothing is taken at its temperature alone."""
        captions, _ = self._encoded([self.written[row] for row in rows])
        scored = sampler if isinstance(sampler, Reweighted) else self.sampling
        return reference_nll(generator, features, captions, scored, max_length=self.max_length, rng=rng)


def build_evaluator(
    settings: Settings,
    source: FeatureSource,
    tokenizer: Tokenizer,
    training: Container[str] | None,
    *,
    device: torch.device,
    java: Sequence[Metric] = (),
    discriminator: Discriminator | None = None,
    language_model: TextJudge | None = None,
) -> Evaluator:
    """Build the measure of a split.

    Args:
        settings: of the run.
        source: features of the split.
        tokenizer: of the run.
        training: captions that count as learned by heart; None: they are not known, and nothing is said of it.
        device: where the captioner lives.
        java: metrics that Java programs compute.
        discriminator: the run's, for decoders that ask it.
        language_model: judges captions, as a metric and for decoders that ask it.

    Raises:
        UserError: two metrics have the same name.
    """
    offered = {
        "split": source.split, "tokenizer": tokenizer, **offered_discriminator(discriminator),
        **offered_language_model(language_model),
    }  # fmt: skip
    decoder = settings.decoding.build(Decoder, **offered)
    decoders = {name: part.build(Decoder, **offered) for name, part in own_decoding(settings).items()}
    asked = settings.validation
    more = (*source.split.metrics, *own_metrics(settings.metrics), *language_model_metrics(language_model))
    unknown = LEARNED_BY_HEART if training is None else ()
    return Evaluator(
        source, tokenizer, decoder=decoder, decoders=decoders, training_captions=training or (),
        max_length=settings.max_length,
        metrics={name: metric for name, metric in catalogue(*more, quality=java).items() if name not in unknown},
        samples_per_image=asked.samples_per_image, temperature=asked.temperature, batch_images=asked.batch_images,
        device=device,
    )  # fmt: skip
