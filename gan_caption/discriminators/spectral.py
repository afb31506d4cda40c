"""Spectral normalisation (Miyato et al. 2018, arXiv 1802.05957), for any discriminator."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_caption.discriminators.base import Discriminator
from gan_caption.encoders.base import Encoder
from gan_caption.generators.base import Generator


def spectrally_normalised(*, discriminator: Discriminator) -> Discriminator:
    """Divide the weights of every linear layer and every convolution over words by their largest singular value.

    It bounds how fast the logit can change with the word vectors. The largest singular value is followed by one power
    iteration whenever a layer is asked for its weights in train mode: once a training step (algorithm 1), or as often
    as a discriminator reads the captions in it, `multi` once for each of its representations. Embeddings, the weights
    of `nn.LSTM`, and encoders and policies inside (`own_eyes`, `likelihood_ratio`), which begin as a copy of the run's,
    are left as they are.

    Args:
        discriminator: changed in place.

    Returns:
        the same discriminator.
    """
    copies = [part for part in discriminator.modules() if isinstance(part, Encoder | Generator)]
    left = {id(module) for part in copies for module in part.modules()}
    for module in list(discriminator.modules()):
        if isinstance(module, nn.Linear | nn.Conv1d) and id(module) not in left:
            spectral_norm(module)
    return discriminator
