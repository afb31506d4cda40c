"""An LSTM that reads the image, then the caption: the RNN discriminator of Chen et al. 2019, arXiv 1805.07112.

The image vector, projected to the size of a word vector, is the LSTM's first input; its state after the last word goes
through one layer to the logit. Shapes: B images, N captions, T steps, V vocabulary, P pooled, E embedding, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.lstm import last_outputs
from gan_caption.errors import at_least, share
from gan_caption.kernels.dropout import Dropout
from gan_caption.kernels.products import Linear
from gan_caption.kernels.recurrent import State, input_gates, read, step
from gan_caption.layers import ImageVector


class ImageFirstLSTMDiscriminator(Discriminator):
    """An LSTM over image and words, and a logit of its last state."""

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        hidden: int,
        embedding: int,
        dropout: float,
        instance_noise: float,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V, special tokens included.
            pooled_size: P, length of the image vector.
            hidden: H, at least 1.
            embedding: E, at least 1.
            dropout: probability in [0, 1), on image and word vectors and on the last state.
            instance_noise: standard deviation, at least 0; see `Discriminator`.
        """
        super().__init__(vocabulary_size=vocabulary_size, embedding=embedding, instance_noise=instance_noise)
        at_least(1, hidden=hidden)
        share(dropout=dropout)
        self.image = ImageVector(inputs=pooled_size, noise=0, outputs=embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.answer = Linear(hidden, 1)
        self.dropout = Dropout(dropout)

    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,); see `Discriminator.score`."""
        hidden, cell = (part.index_select(0, captions.images) for part in self._start(features))
        outputs = read(self.lstm, self.dropout(captions.packed(words)), captions.lengths, (hidden, cell))  # (M, H)
        logits: Tensor = self.answer(self.dropout(outputs[captions.lengths.cumsum(0) - 1]))[:, 0]
        return logits

    def fast_score(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return logits (N,); a beginning that several captions of an image share is read once."""
        last = last_outputs(self.lstm, self.words, captions, self._start(features))
        logits: Tensor = self.answer(last)[:, 0]
        return logits

    def output_weights(self) -> Iterable[nn.Parameter]:
        """Return those of the last layer; see `Discriminator.output_weights`."""
        return self.answer.parameters()

    def _start(self, features: ImageFeatures) -> State:
        """Return hidden state and cell, (B, H) each, once the image was read."""
        return step(self.lstm, input_gates(self.lstm, self.dropout(self.image(features))))
