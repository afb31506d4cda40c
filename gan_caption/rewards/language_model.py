"""What a pretrained language model thinks of captions, as a reward. Shapes: B images, N captions."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.rewards.text_judge import TextJudge, judge_captions
from gan_caption.text.base import Tokenizer


@dataclass(kw_only=True)
class LanguageModelReward:
    """log p of the caption's text under a language model that sees no image, in nats, at most 0.

    It knows nothing of the image, and repeats and commonplaces are probable: it is meant as a part of a mixture, or to
    rerank. A caption that was cut is judged as if it ended there, which is improbable.
    """

    language_model: TextJudge
    """The judge: `language_model=` of the configuration."""
    tokenizer: Tokenizer
    """Of the captions: policy and judge meet at text, whatever the tokens of each."""
    length_penalty: float
    """log p is divided by words ** this, the end counted as a word: 0 for the whole caption, 1 for the mean a word."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,)."""
        rows = zip(captions.tokens.tolist(), captions.lengths.tolist(), strict=True)
        texts = self.tokenizer.tokenized([self.tokenizer.decode(ids[:length]) for ids, length in rows])
        log_probs, words = judge_captions(self.language_model, texts)
        return (log_probs / words**self.length_penalty).to(features.pooled)
