"""Spectral normalisation (Miyato et al. 2018, arXiv 1802.05957), for any discriminator."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_caption.discriminators.base import Discriminator


def spectrally_normalised(*, discriminator: Discriminator) -> Discriminator:
    """Divide the weights of every linear and convolutional layer by their largest singular value.

    It bounds how fast the logit can change with the word vectors. The largest singular value is followed by one power
    iteration a training step (algorithm 1); embeddings and the weights of `nn.LSTM` are left as they are.

    Args:
        discriminator: changed in place.

    Returns:
        the same discriminator.
    """
    for module in list(discriminator.modules()):
        if isinstance(module, nn.Linear | nn.Conv1d):
            spectral_norm(module)
    return discriminator
