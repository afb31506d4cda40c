"""The discriminator's losses. Shapes: B images, N captions of one kind, T steps, E embedding, M logits of one kind.

M is N, or the number of real tokens where the discriminator is dense.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gan_caption.data.captions import EOS, Captions, SoftCaptions, stacked
from gan_caption.data.edits import edited
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.distributed import world
from gan_caption.errors import UserError, above, at_least, share
from gan_caption.kernels import plain


@dataclass(frozen=True)
class Judged:
    """A loss to minimise, and how often D was right."""

    loss: Tensor
    """Scalar."""
    accuracy: dict[str, float]
    """The share of each kind that D took for what it is: "real", "generated", "mismatched", "edited"; in [0, 1]. Empty
    where there was nothing to compare real pairs with."""


@dataclass(kw_only=True)
class DiscriminatorLoss(ABC):
    """What D learns by, from real pairs and others."""

    generated: float
    """The weight of captions that the generator sampled for the image; at least 0. With 0 none need be sampled."""
    mismatched: float
    """The weight of real captions of other images; at least 0. With this and `edited` 0 nothing makes D look at the
    image."""
    edited: float
    """The weight of the real captions with one word replaced by another of the batch; at least 0. A dense critic is
    asked about that word alone: a person chose those before it, and those after it follow what no person said."""

    def __post_init__(self) -> None:
        weights = {"generated": self.generated, "mismatched": self.mismatched, "edited": self.edited}
        if min(weights.values()) < 0 or not any(weights.values()):
            told = ", ".join(f"{kind}={weight}" for kind, weight in weights.items())
            raise ValueError(f"{told}: not negative, and not all 0")

    @abstractmethod
    def __call__(
        self, discriminator: Discriminator, features: ImageFeatures, *, real: Captions, generated: Captions | None,
        rng: torch.Generator,
    ) -> Judged:  # fmt: skip
        """Judge a batch.

        Args:
            discriminator: D, in train mode.
            features: of B images, cut off from any graph.
            real: captions that people wrote for these images.
            generated: captions that the generator sampled for these images, cut off from its graph; None where their
                weight is 0.
            rng: on the CPU, the same on all ranks.
        """

    def check(self, discriminator: Discriminator) -> None:
        """Refuse a discriminator that this loss cannot train, before anything is trained.

        Raises:
            UserError: it lacks what the loss asks for.
        """
        del discriminator


@dataclass(kw_only=True)
class Comparison(DiscriminatorLoss):
    """Real pairs against generated captions and against real captions of other images (Dai et al. 2017, eq. 6)."""

    def __call__(
        self, discriminator: Discriminator, features: ImageFeatures, *, real: Captions, generated: Captions | None,
        rng: torch.Generator,
    ) -> Judged:  # fmt: skip
        """Judge a batch; see `DiscriminatorLoss`."""
        weights = {"generated": self.generated, "mismatched": self.mismatched, "edited": self.edited}
        negatives = self._negatives(features, real, generated, rng)
        truth, *fakes = judged_together(
            discriminator, features, [real, *(captions for captions, _ in negatives.values())]
        )
        truth = world.gather(spoken(truth, real)).float()  # also where D computes in bfloat16
        loss = self.penalty(discriminator, features, real=real, generated=generated)
        accuracy: dict[str, float] = {}
        for (kind, (captions, places)), answers in zip(negatives.items(), fakes, strict=True):
            logits = world.gather(spoken(answers, captions) if places is None else at(answers, places)).float()
            loss = loss + weights[kind] * self.compare(truth, logits)
            of_real, accuracy[kind] = self.accuracy(truth.detach(), logits.detach())
            accuracy.setdefault("real", of_real)
        return Judged(loss, accuracy)

    def _negatives(
        self, features: ImageFeatures, real: Captions, generated: Captions | None, rng: torch.Generator
    ) -> dict[str, tuple[Captions, Tensor | None]]:
        """Return what real pairs are compared with, by kind, and the place (N,) that counts where it is one alone."""
        negatives: dict[str, tuple[Captions, Tensor | None]] = {}
        if generated is not None:
            negatives["generated"] = generated, None
        if self.mismatched and sum(world.everyone(len(features))) > 1:
            negatives["mismatched"] = mismatch(real, images=len(features)), None
        if self.edited:
            changed = edits(real, rng=rng)
            negatives |= {} if changed is None else {"edited": changed}
        return negatives

    @abstractmethod
    def compare(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the loss (scalar) of real pairs' logits (M,) beside those of one kind of negatives (M',).

        They are those of all ranks; see `world.gather`.
        """

    def accuracy(self, real: Tensor, fake: Tensor) -> tuple[float, float]:
        """Return the shares of real pairs and of negatives that are taken for what they are."""
        return (real > 0).float().mean().item(), (fake <= 0).float().mean().item()

    def penalty(
        self, discriminator: Discriminator, features: ImageFeatures, *, real: Captions, generated: Captions | None
    ) -> Tensor:
        """Return what is added to the comparisons; 0 here."""
        del discriminator, real, generated
        return features.pooled.new_zeros(())


@dataclass(kw_only=True)
class BinaryCrossEntropy(Comparison):
    """-log D(real) - log(1 - D(fake)) (Goodfellow et al. 2014, arXiv 1406.2661, eq. 1)."""

    real: float
    """The weight of real pairs beside each kind of negatives, above 0: with 1 they weigh as much as all negatives do
    together, with .5 and two kinds of equal weights each of the three weighs the same."""
    label_smoothing: float
    """In [0, 1): real pairs have the target 1 less this; negatives keep 0 (Salimans et al. 2016, arXiv 1606.03498,
    section 3.4)."""
    output_l2: float
    """Times half the squares of D's `output_weights`, at least 0: a penalty, as SeqGAN's D has it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share(label_smoothing=self.label_smoothing)
        at_least(0, output_l2=self.output_l2)
        above(0, real=self.real)

    def compare(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the loss; see `Comparison.compare`."""
        loss = functional.binary_cross_entropy_with_logits
        people = loss(real, torch.full_like(real, 1 - self.label_smoothing))
        return self.real * people + loss(fake, torch.zeros_like(fake))

    def check(self, discriminator: Discriminator) -> None:
        """Refuse an `output_l2` where D does not say what its output weights are; see `DiscriminatorLoss.check`."""
        if self.output_l2 and not list(discriminator.output_weights()):
            kind = type(discriminator).__name__
            raise UserError(
                f"output_l2={self.output_l2}: {kind} has no output_weights; discriminator_training.output_l2=0"
            )

    def penalty(
        self, discriminator: Discriminator, features: ImageFeatures, *, real: Captions, generated: Captions | None
    ) -> Tensor:
        """Return the L2 term of D's output weights."""
        none = super().penalty(discriminator, features, real=real, generated=generated)
        if not self.output_l2:
            return none
        squares = [weight.square().sum() for weight in discriminator.output_weights()]
        own = self.output_l2 / 2 * torch.stack(squares).sum()
        return none + (own if world.is_main() else own.detach())  # gradients of all ranks are added


@dataclass(kw_only=True)
class ShuffledLabels(BinaryCrossEntropy):
    """A control: who wrote a caption is drawn at random, so that D learns as long and as hard, and nothing."""

    def compare(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the loss with the logits dealt anew to both kinds; see `Comparison.compare`."""
        # torch's own CPU generator, whose state travels with the checkpoint; each rank has another, and all deal alike.
        order = world.from_main(lambda: torch.randperm(len(real) + len(fake)))
        dealt = torch.cat([real, fake])[order.to(real.device)]
        return super().compare(dealt[: len(real)], dealt[len(real) :])


@dataclass(kw_only=True)
class Hinge(Comparison):
    """max(0, 1 - logit of real) + max(0, 1 + logit of fake) (Lim & Ye 2017, arXiv 1705.02894)."""

    def compare(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the loss; see `Comparison.compare`."""
        return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


@dataclass(kw_only=True)
class Relativistic(Comparison):
    """-log sigmoid(logit of real - logit of fake), pair by pair (Jolicoeur-Martineau 2018, arXiv 1807.00734: RSGAN).

    RelGAN's loss. Only differences of logits mean something: an accuracy is the share of pairs in the right order.
    """

    def compare(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the loss; see `Comparison.compare`."""
        if len(real) != len(fake):
            raise ValueError(
                f"a relativistic loss compares pair by pair, and there are {len(real)} real logits beside {len(fake)} "
                "others: D must answer one a caption (dense ones answer one a token), of as many captions of each kind "
                "(with edited= every caption must have a word)"
            )
        return functional.softplus(fake - real).mean()

    def accuracy(self, real: Tensor, fake: Tensor) -> tuple[float, float]:
        """Return the share of pairs in the right order, twice."""
        right = (real > fake).float().mean().item()
        return right, right


@dataclass(kw_only=True)
class Ranking(Comparison):
    """Real pairs rank high among negatives, negatives low among real pairs (RankGAN, Lin et al. 2017, eq. 6).

    -log of the share of a softmax that a real pair gets beside all negatives, plus log of the share that a negative
    gets beside all real pairs.
    """

    def compare(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the loss; see `Comparison.compare`. It has no lower bound: log of a share that goes to 0."""
        rank_of_real = real - torch.logaddexp(real, fake.logsumexp(0))
        rank_of_fake = fake - torch.logaddexp(fake, real.logsumexp(0))
        return rank_of_fake.mean() - rank_of_real.mean()

    def accuracy(self, real: Tensor, fake: Tensor) -> tuple[float, float]:
        """Return the share of real pairs above the mean negative, and of negatives below the mean real pair."""
        return (real > fake.mean()).float().mean().item(), (fake <= real.mean()).float().mean().item()


@dataclass(kw_only=True)
class Wasserstein(Comparison):
    """Mean logit of fake less mean logit of real, with a gradient penalty (Gulrajani et al. 2017, arXiv 1704.00028).

    The penalty holds on random mixtures of the word vectors of a real and a generated caption of the same image.
    """

    gradient_penalty: float
    """Lambda, at least 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, gradient_penalty=self.gradient_penalty)
        if self.gradient_penalty and not self.generated:
            raise ValueError(
                f"gradient_penalty={self.gradient_penalty}, generated={self.generated}: the penalty holds between real "
                "and generated captions; give generated above 0, or gradient_penalty=0"
            )

    def compare(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the loss; see `Comparison.compare`."""
        return fake.mean() - real.mean()

    def accuracy(self, real: Tensor, fake: Tensor) -> tuple[float, float]:
        """Return the shares on the right side of the middle between the two means: the logits have no zero."""
        middle = (real.mean() + fake.mean()) / 2
        return (real > middle).float().mean().item(), (fake <= middle).float().mean().item()

    def penalty(
        self, discriminator: Discriminator, features: ImageFeatures, *, real: Captions, generated: Captions | None
    ) -> Tensor:
        """Return lambda x the mean of (gradient norm - 1)^2."""
        if not self.gradient_penalty or generated is None or not torch.is_grad_enabled():
            return features.pooled.new_zeros(())
        # Also of no captions: a rank without images asks D as often as the others, whose spectral norm counts that.
        norms = self._slopes(discriminator, features, real, generated)
        return self.gradient_penalty * (world.gather(norms) - 1).square().mean()

    def _slopes(
        self, discriminator: Discriminator, features: ImageFeatures, real: Captions, generated: Captions
    ) -> Tensor:
        """Return the gradient norms (N,) of D at mixtures of real and generated captions."""
        real, generated = discriminator.reading(real), discriminator.reading(generated)
        length = max(real.tokens.shape[1], generated.tokens.shape[1])
        vectors = []
        for captions in (real, generated):
            words = discriminator.embed(captions).detach() * captions.mask[..., None]
            vectors.append(functional.pad(words, (0, 0, 0, length - words.shape[1])))
        shares = torch.rand(len(real), 1, 1).to(vectors[0])
        mixed = torch.lerp(vectors[0], vectors[1], shares).requires_grad_()
        longer = real.lengths >= generated.lengths
        tokens = functional.pad(real.tokens, (0, length - real.tokens.shape[1]))
        form = Captions(tokens, torch.where(longer, real.lengths, generated.lengths), real.images)
        with plain():  # fused kernels have no second derivatives
            logits = discriminator.score(features, mixed, form)
            (slope,) = torch.autograd.grad(logits.sum(), mixed, create_graph=True, materialize_grads=True)
        norms: Tensor = slope.flatten(1).norm(dim=1)
        return norms


def judged_together(discriminator: Discriminator, features: ImageFeatures, kinds: Sequence[Captions]) -> list[Tensor]:
    """Judge several kinds of captions of the same images in one pass: larger products, and their gradients once.

    Relaxed captions have no tokens to stand beside others' and are judged by themselves.

    Args:
        discriminator: D.
        features: of B images.
        kinds: N captions each; N and T need not be the same for all.

    Returns:
        logits for each kind, (N,), or (N, T) where D is dense.
    """
    hard = [captions for captions in kinds if not isinstance(captions, SoftCaptions)]
    copies = torch.arange(len(features), device=features.pooled.device).repeat(len(hard))
    logits = discriminator(features.select(copies), stacked(hard, images=len(features)))
    parts = iter(logits.split([len(captions) for captions in hard]))
    return [
        discriminator(features, captions) if isinstance(captions, SoftCaptions) else cut(next(parts), captions)
        for captions in kinds
    ]


def cut(logits: Tensor, captions: Captions) -> Tensor:
    """Return logits (N,) as they are, and of dense ones those of the captions' own T steps."""
    return logits if logits.dim() == 1 else logits[:, : captions.tokens.shape[1]]


def spoken(logits: Tensor, captions: Captions) -> Tensor:
    """Return logits (N,) as they are, and of dense ones (N, T) those of real tokens (M,)."""
    return logits if logits.dim() == 1 else captions.packed(logits)


def at(logits: Tensor, places: Tensor) -> Tensor:
    """Return logits (N,) as they are, and of dense ones (N, T) those at places (N,)."""
    return logits if logits.dim() == 1 else logits.gather(1, places[:, None])[:, 0]


def edits(captions: Captions, *, rng: torch.Generator) -> tuple[Captions, Tensor] | None:
    """Return captions with one word replaced by one of any rank's, and its place (N,); see `edited`.

    None where all ranks' captions have no two different words.
    """
    words = words_of(captions)
    return edited(captions, words=words, rng=rng) if len(words.unique()) > 1 else None


def words_of(captions: Captions) -> Tensor:
    """Return the words (M,) of the captions of all ranks, each as often as it stands there."""
    return world.gather(captions.tokens[captions.tokens > EOS])


def mismatch(captions: Captions, *, images: int) -> Captions:
    """Give every caption to the next image of the batch, and the last image's captions to the first.

    The batch is that of all ranks: the captions of a rank's last image go to the next rank.

    Args:
        captions: of this rank's images.
        images: how many these are.

    Returns:
        the captions that this rank's images are given.
    """
    counts = world.everyone(images)
    first, total = sum(counts[: world.rank()]), sum(counts)
    moved = (world.gather(captions.images + first) + 1) % total
    order = moved.argsort(stable=True)
    order = order[(moved[order] >= first) & (moved[order] < first + images)]
    tokens, lengths = world.gather(captions.tokens), world.gather(captions.lengths)
    return Captions(tokens[order], lengths[order], moved[order] - first)
