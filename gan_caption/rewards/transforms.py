"""How a discriminator's logit becomes a reward. D = sigmoid(logit) is the probability that a person wrote the caption.

Shapes: N captions; a dense discriminator's logits are (N, T), and every transform but `Odds` takes them as well.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn import functional

from gan_caption.distributed import world


class Transform(Protocol):
    """Turns logits into rewards of the same shape, without gradients."""

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the rewards."""
        ...


class Probability:
    """D, in (0, 1): SeqGAN (Yu et al. 2017, arXiv 1609.05473, eq. 4)."""

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the rewards."""
        return logits.sigmoid()


class LogProbability:
    """log D, at most 0: what D is sure about loses most; the non-saturating loss of Goodfellow et al. 2014."""

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the rewards."""
        return functional.logsigmoid(logits)


class Saturating:
    """-log(1 - D), at least 0: the minimax game's (Goodfellow et al. 2014, arXiv 1406.2661, eq. 1).

    It hardly moves where D is sure that a caption is generated, which is what the paper's own log D is for.
    """

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the rewards."""
        return functional.softplus(logits)


class Signed:
    """2 D - 1, in (-1, 1): 0 where D cannot tell (ScratchGAN, de Masson d'Autume et al. 2019, arXiv 1905.09922)."""

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the rewards."""
        return 2 * logits.sigmoid() - 1


class Logit:
    """logit D: for the best D of the policy's own samples, log p_data / p_policy."""

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the rewards."""
        return logits


class Odds:
    """D / (1 - D), divided by its mean over the batch: MaliGAN (Che et al. 2017, arXiv 1702.07983).

    For the best D the odds are p_data / p_policy: the importance weights that turn samples of the policy into samples
    of the data, so that the policy gradient becomes that of maximum likelihood. The paper normalises them to sum to one
    and this to a mean of one, since the policy gradient here is a mean over captions. Normalising over the batch makes
    the estimate consistent in the batch's size, and biased at any finite one. It is meant for whole captions: among
    Monte Carlo completions the mean would be another, and so it is among the greedy captions of a self-critical
    baseline, with which samples cannot be compared by it.
    """

    of_caption_alone = False
    """A caption's number is no function of it and its image alone, which `check_judge` asks of judges of candidates."""

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the rewards, 0 to N, with mean 1.

        Raises:
            ValueError: the logits are those of tokens: of each step the mean would be another, and padding in it.
        """
        if logits.dim() != 1:
            raise ValueError("Odds are of whole captions: take a discriminator of one logit a caption, no dense one")
        of_all = world.gather(logits)
        return world.own(of_all.softmax(0) * len(of_all), len(logits))  # exp(logit) = D / (1 - D), and no overflow
