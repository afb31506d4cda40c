"""A discriminator that reads other tokens than the policy writes: both meet at the text. Shapes: as in `base`."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from gan_caption.data.captions import EOS, UNK, Captions, SoftCaptions, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.wrapped import WrappedDiscriminator
from gan_caption.errors import UserError
from gan_caption.generators.base import Generator
from gan_caption.text.base import Tokenizer


class RetokenizedDiscriminator(WrappedDiscriminator):
    """Shows the discriminator inside the captions' text in the tokens of another tokenizer.

    People's captions and samples go the same way, from the policy's tokens: what D reads depends on these alone, and
    captions of one text get one answer, in whatever tokens they were written. `gan_caption/text/README.md` says what
    is lost on the way. Relaxed captions have no text, and the logits of a dense critic would belong to other tokens
    than the policy's: both are refused.

    Its state holds, beside what learns, a fingerprint of the tokens that it reads.
    """

    def __init__(self, *, discriminator: Discriminator, tokenizer: Tokenizer, policy_tokenizer: Tokenizer) -> None:
        """Wrap.

        Args:
            discriminator: of the words of `tokenizer`; it answers one logit a caption.
            tokenizer: what it reads, learned.
            policy_tokenizer: what captions are written in.

        Raises:
            ValueError: the discriminator has another number of words than the tokenizer.
        """
        super().__init__(discriminator=discriminator)
        if discriminator.vocabulary_size != len(tokenizer):
            raise ValueError(
                f"the discriminator inside reads {discriminator.vocabulary_size} tokens, and its tokenizer has "
                f"{len(tokenizer)}: `retokenized` stands inside other discriminators by their key `discriminator`, and "
                "once"
            )
        self.tokenizer = tokenizer
        self.policy_tokenizer = policy_tokenizer
        self.vocabulary_size = len(policy_tokenizer)

    @property
    def unwrapped(self) -> Discriminator:
        """This one: what is inside knows no token of the policy's."""
        return self

    def seen(self, features: ImageFeatures) -> ImageFeatures:
        """Return the features as they are."""
        return features

    def reading(self, captions: Captions) -> Captions:
        """Return the same captions in the tokens of `tokenizer`, on the same device.

        A caption that was cut has no `<eos>` here either, and none is cut here. One that was cut, and in which there is
        nothing to read, is an `<unk>`.

        Raises:
            UserError: they are relaxed.
        """
        if isinstance(captions, SoftCaptions):
            raise UserError(
                "discriminator=retokenized reads text, which relaxed captions do not have: give a discriminator of the "
                "generator's own tokens, such as discriminator=cnn, or a page that samples, such as seqgan"
            )
        lengths = captions.lengths.tolist()
        written = [row[:length] for row, length in zip(captions.tokens.tolist(), lengths, strict=True)]
        texts = self.tokenizer.normalize([self.policy_tokenizer.decode(ids) for ids in written])
        own = [self._ids(text, ended=ids[-1] == EOS) for text, ids in zip(texts, written, strict=True)]
        return captions_from_ids(own, captions.images.tolist()).to(captions.tokens.device)

    def _ids(self, text: str, *, ended: bool) -> list[int]:
        """Return a text's ids; they are never empty."""
        ids = self.tokenizer.encode(text, max_length=sys.maxsize)
        return ids if ended else ids[:-1] or [UNK]

    def forward(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return logits (N,); see `Discriminator.forward`."""
        return _one_a_caption(super().forward(features, self.reading(captions)))

    def fast_score(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return logits (N,); see `Discriminator.fast_score`."""
        return _one_a_caption(super().fast_score(features, self.reading(captions)))

    def weights_from(self, generator: Generator) -> dict[str, Tensor]:
        """Refuse: no weight of the generator's would mean the same; see `Discriminator.weights_from`.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "initial_weights=generator: discriminator=retokenized reads other tokens than the generator, whose weights "
            "mean nothing to it; give initial_weights=random"
        )

    def get_extra_state(self) -> Tensor:
        """Return what tells the tokens that it reads from others."""
        return torch.tensor(list(self.tokenizer.fingerprint.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse what was learned with other tokens.

        Raises:
            UserError: it was.
        """
        if state.tolist() != self.get_extra_state().tolist():
            raise UserError(
                "the discriminator's weights were learned with other tokens than those that it reads here: give the "
                "same discriminator=..., and the captions that its words were learned from"
            )


def _one_a_caption(logits: Tensor) -> Tensor:
    """Return logits (N,) as they are.

    Raises:
        UserError: there is one a token.
    """
    if logits.dim() != 1:
        raise UserError(
            "discriminator=retokenized needs a discriminator that answers one logit a caption, such as cnn: those of a "
            "dense one would belong to other tokens than the generator's"
        )
    return logits
