"""A generator of one's own whose output weights are its word vectors (Press & Wolf 2017, arXiv 1608.05859)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from gan_caption.generators.lstm import LSTMGenerator


class Tied(nn.Module):
    """The words' logits (N, V - first_word) from hidden vectors (N, E), by the word vectors themselves."""

    def __init__(self, words: nn.Embedding, first_word: int) -> None:
        super().__init__()
        self.weight = words.weight
        self.first_word = first_word

    def forward(self, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self.weight[self.first_word :])


class TiedLSTM(LSTMGenerator):
    """`LSTMGenerator` with as many hidden units as a word vector has numbers."""

    def __init__(self, *, vocabulary_size: int, pooled_size: int, hidden: int) -> None:
        super().__init__(
            vocabulary_size=vocabulary_size, pooled_size=pooled_size, hidden=hidden, embedding=hidden, dropout=0.0,
            image_as="first_input", noise_size=0, noise_law="normal", generate_unknown=False,
        )  # fmt: skip
        self.output = Tied(self.words, self.first_word)
