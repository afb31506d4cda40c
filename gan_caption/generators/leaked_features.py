"""A frozen copy of what a discriminator's text CNN makes of a sentence, read word by word: LeakGAN's leaked features.

Shapes: N sentences, T steps, V vocabulary, E embedding, F filters in all, S places under them all: a filter of three
words has three.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.data.captions import BOS, Captions
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.sentence_cnn import SentenceCNN
from gan_caption.errors import UserError, at_least
from gan_caption.kernels.products import linear
from gan_caption.kernels.switch import is_plain
from gan_caption.modes import evaluating

Windows = tuple[Tensor, Tensor]
"""Of the words so far: the sums (N, S - F) of the windows that further words may still fall into, by width and then by
the place of the last word, -inf where none has begun; and the highest of the whole ones (N, F)."""


class LeakedFeatures(nn.Module):
    """F(s) of Guo et al. 2018: the sentence vector of a `CNNDiscriminator` before it meets the image.

    A window counts once all of it is words: a word is added to the windows that are open, and those that it closes
    enter the maximum over time.

    The weights are buffers: a checkpoint keeps them, and no optimizer sees them.
    """

    words: Tensor
    """(V, E)."""
    kernels: Tensor
    """(S, E): what a word adds at each place of each filter, by width, place and filter."""
    bias: Tensor
    """(F,)."""
    carry_weight: Tensor
    carry_bias: Tensor
    transform_weight: Tensor
    transform_bias: Tensor

    def __init__(self, *, vocabulary_size: int, embedding: int, filters: int | list[int], widths: list[int]) -> None:
        """Begin with random weights; the arguments are those of `CNNDiscriminator`."""
        super().__init__()
        at_least(1, embedding=embedding)
        cnn = SentenceCNN(embedding=embedding, filters=filters, widths=widths, dropout=0.0)
        self.size = cnn.size
        self.shapes = [(layer.weight.shape[2], layer.weight.shape[0]) for layer in _convolutions(cnn)]
        for name, weight in _laid_out(nn.Embedding(vocabulary_size, embedding), cnn).items():
            self.register_buffer(name, weight.detach().clone())

    @torch.no_grad()
    def follow(self, discriminator: Discriminator) -> None:
        """Copy the weights as they are.

        Raises:
            UserError: it is no `CNNDiscriminator` of these sizes.
        """
        discriminator = discriminator.unwrapped
        if not isinstance(discriminator, CNNDiscriminator):
            raise UserError(
                f"this generator reads the features of a text CNN, and {type(discriminator).__name__} has none: "
                "give discriminator=cnn, or another generator"
            )
        with evaluating(discriminator):  # spectral normalisation moves in train mode
            theirs = _laid_out(discriminator.words, discriminator.critic)
        for name, weight in theirs.items():
            own = self.get_buffer(name)
            if own.shape != weight.shape:
                raise UserError(
                    f"{name} of the generator's leaked features are {tuple(own.shape)}, the discriminator's "
                    f"{tuple(weight.shape)}: generator.leaked_embedding, leaked_filters and leaked_widths must be "
                    "discriminator.embedding, filters and widths, as text_cnn.embedding, filters and widths sets both"
                )
            own.copy_(weight)

    def start(self, sentences: int) -> Windows:
        """Return the windows of so many empty sentences."""
        opened = self.bias.new_full((sentences, len(self.kernels) - self.size), float("-inf"))
        return opened, self.bias.new_zeros(sentences, self.size)

    def read(self, tokens: Tensor, windows: Windows) -> tuple[Tensor, Windows]:
        """Read one token a sentence.

        Args:
            tokens: (N,) long; `<bos>` comes before the sentence and leaves it empty. Or weights (N, V) over the words.
            windows: of the words before.

        Returns:
            the features (N, F) of the sentences that end here, and their windows.
        """
        windows = self._take_in(self._added(tokens), windows)
        return self._highway(windows[1]), windows

    @torch.no_grad()
    def of_prefixes(self, captions: Captions) -> Tensor:
        """Return the features (N, T + 1, F) after 0, 1, ... T tokens; past a caption's end they mean nothing."""
        windows, steps = self.start(len(captions)), []
        for added in self._added(functional.pad(captions.tokens, (1, 0), value=BOS)).unbind(1):
            windows = self._take_in(added, windows)
            steps.append(windows[1])
        return self._highway(torch.stack(steps, dim=1))

    def _take_in(self, added: Tensor, windows: Windows) -> Windows:
        """Return the windows after one token more, which adds (N, S)."""
        opened, closed = [], []
        parts = zip(
            self.shapes,
            windows[0].split([(width - 1) * count for width, count in self.shapes], dim=1),
            added.split([width * count for width, count in self.shapes], dim=1),
            self.bias.expand(added.shape[0], -1).split([count for _, count in self.shapes], dim=1),
            strict=True,
        )
        for (_, count), before, new, begun in parts:
            sums = torch.cat([begun, before], dim=1) + new  # the word stands at the first place, the second ...
            opened.append(sums[:, :-count])
            closed.append(sums[:, -count:])
        highest = torch.maximum(windows[1], functional.relu(torch.cat(closed, dim=1)))
        return torch.cat(opened, dim=1), highest

    def _added(self, tokens: Tensor) -> Tensor:
        """Return what tokens (...), or weights over the words (N, V), add at each place, (..., S)."""
        if tokens.is_floating_point():
            return linear(tokens @ self.words, self.kernels)
        before = torch.where(tokens == BOS, float("-inf"), 0.0)[..., None]
        if is_plain() or tokens.device.type != "cpu":  # asking which words there are would make the device wait
            return linear(self.words[tokens], self.kernels) + before
        read, places = torch.unique(tokens, return_inverse=True)  # the same word is read many times
        return linear(self.words[read], self.kernels)[places] + before

    def _highway(self, maxima: Tensor) -> Tensor:
        carry = torch.sigmoid(linear(maxima, self.carry_weight, self.carry_bias))
        changed = functional.relu(linear(maxima, self.transform_weight, self.transform_bias))
        return carry * changed + (1 - carry) * maxima


def _convolutions(cnn: SentenceCNN) -> list[nn.Conv1d]:
    return [layer for layer in cnn.convolutions if isinstance(layer, nn.Conv1d)]


def _laid_out(words: nn.Embedding, cnn: SentenceCNN) -> dict[str, Tensor]:
    """Return the weights of word vectors and a sentence CNN as the buffers of `LeakedFeatures`, by their names."""
    layers = _convolutions(cnn)
    kernels = [layer.weight.permute(2, 0, 1).flatten(0, 1) for layer in layers]
    biases = [layer.bias for layer in layers if layer.bias is not None]
    return {
        "words": words.weight, "kernels": torch.cat(kernels), "bias": torch.cat(biases),
        "carry_weight": cnn.carry.weight, "carry_bias": cnn.carry.bias,
        "transform_weight": cnn.transform.weight, "transform_bias": cnn.transform.bias,
    }  # fmt: skip
