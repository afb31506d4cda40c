"""Metrics of captions: plain lists of tokenized strings in, numbers out. No torch, no Java, no process.

Captions are tokenized by `ptb_tokenize` or `character_tokenize`, tokens joined by single spaces. Values are on the
scale 0 to 1, CIDEr-D 0-10.
"""

from gan_caption.metrics.bleu import bleu
from gan_caption.metrics.characters import character_tokenize
from gan_caption.metrics.cider import CiderD, cider, cider_d
from gan_caption.metrics.diversity import (
    distinct_n,
    div_n,
    length_distance,
    mbleu,
    unique_share,
    verbatim_share,
    vocabulary_size,
)
from gan_caption.metrics.document_frequencies import DocumentFrequencies
from gan_caption.metrics.metric import Metric, Predictions
from gan_caption.metrics.ngrams import Score
from gan_caption.metrics.rouge import rouge_l
from gan_caption.metrics.self_bleu import SelfBleu, self_bleu
from gan_caption.metrics.self_cider import self_cider
from gan_caption.metrics.tokenizer import ptb_tokenize

__all__ = [
    "CiderD",
    "DocumentFrequencies",
    "Metric",
    "Predictions",
    "Score",
    "SelfBleu",
    "bleu",
    "character_tokenize",
    "cider",
    "cider_d",
    "distinct_n",
    "div_n",
    "length_distance",
    "mbleu",
    "ptb_tokenize",
    "rouge_l",
    "self_bleu",
    "self_cider",
    "unique_share",
    "verbatim_share",
    "vocabulary_size",
]
