"""Tokens as coco-caption makes them: Stanford's PTBTokenizer (3.4.1, lower case), its punctuation left out; no Java.

Penn Treebank conventions: "don't" is "do n't", "dog's" is "dog 's", "cannot" is "can not"; hyphens, slashes and inner
points stay inside words; brackets become -lrb-, -rrb- ... and, as in coco-caption, stay (its list has them in upper
case, its tokens are in lower case).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])

_ABBREVIATIONS = (
    "mr|mrs|ms|dr|prof|gen|rep|sen|gov|lt|col|capt|sgt|rev|hon|st|ave|blvd|rd|jr|sr|bros|corp|inc|ltd|co|dept|est|ft|mt"
    "|vs|etc|al|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thurs?|fri|ph|d\\.c"
)
_TOKEN = re.compile(
    "|".join(
        [
            r"https?://[^\s\"<>]+|www\.[^\s\"<>]+",
            r"[^\s@\"'<>(),;:]+@[^\s@\"'<>(),;:]+\.[a-z]{2,}",
            r"</?[a-z][^<>]*>",
            r"-[lr][rsc]b-|n't(?!\w)|y'(?= all\b)",
            r"(?:[a-z]\.){2,}(?!\w)",  # u.s., e.g.
            rf"\b(?:{_ABBREVIATIONS})\.(?!\w)",
            r"\bno\.(?=\s*\d)",
            r"(?<!\w)[a-z]\.(?=\s+\w)",  # an initial
            r"(?<!\w)'n'(?!\w)",
            r"(?<!\w)'\d\ds?\b",
            r"(?<!\w)(?:'t(?= is\b| was\b)|d'ye\b)",
            r"[-+]?\.\d+|\d+(?:[.,:/]\d+)+(?!\w)",
            r"#[^\W_]\w*[a-z]\w*|@\w+",
            # Words: hyphens, slashes, points and underscores may stand inside, apostrophes between letters.
            r"\w+(?:[-/._]\w+|(?<=[^\W\d])'(?!(?:s|m|d|re|ve|ll|n|t)\b)[^\W\d]\w*)*",
            r"'(?:s|m|d|re|ve|ll|n|em)\b",
            r"\.{2,}",
            r"-{2,}",
            r"[!?]+",
            r"\S",
        ]
    )
)
_SPLIT_IN_TWO = {
    "cannot": ("can", "not"), "gonna": ("gon", "na"), "gotta": ("got", "ta"), "wanna": ("wan", "na"),
    "gimme": ("gim", "me"), "lemme": ("lem", "me"),
}  # fmt: skip
_SIGNS = str.maketrans(
    {
        "(": " -lrb- ", ")": " -rrb- ", "[": " -lsb- ", "]": " -rsb- ", "{": " -lcb- ", "}": " -rcb- ",
        "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"',
        "\u00ab": '"', "\u00bb": '"', "`": "'", "\u2013": " -- ", "\u2014": " -- ", "\u2026": " ... ",
        "\u00bd": "1/2", "\u00bc": "1/4", "\u00be": "3/4", "\u00a2": " cents ", "\u00a3": " # ", "\u20ac": " $ ",
        "\u00a0": " ", "\u00ad": "",
    }
)  # fmt: skip


def ptb_tokenize(captions: Sequence[str]) -> list[str]:
    """Tokenize captions as coco-caption does before every metric.

    Args:
        captions: raw text; line separators inside a caption are spaces, so one caption in is one caption out.

    Returns:
        tokens in lower case, joined by single spaces, punctuation left out; "" where nothing is left.
    """
    return [" ".join(_tokens(caption)) for caption in captions]


def _tokens(caption: str) -> list[str]:
    found: list[str] = []
    text = caption.lower().translate(_SIGNS)
    for token in _TOKEN.findall(_apart(text)):
        if token in _PUNCTUATION or token == '"' or token.strip(".") == "" or token.strip("-") == "":
            continue
        found += _SPLIT_IN_TWO.get(token, (token,))
    return found


def _apart(text: str) -> str:
    """Set contractions apart: "don't" -> "do n't", "dog's" -> "dog 's", "y'all" -> "y' all"."""
    text = re.sub(r"\by'all\b", "y' all", text)
    text = re.sub(r"(?<=\w)'n'(?=\w)", " 'n' ", text)
    text = re.sub(r"(?<=\w)(n't)(?!\w)", r" \1", text)
    text = re.sub(r"(?<=\w)('(?:s|m|d|re|ve|ll|n))(?![\w'])", r" \1", text)
    return re.sub(r"(?<!\w)'t(is|was)\b", r"'t \1", text)
