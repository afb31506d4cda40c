"""Captions counted by character: for Chinese, Japanese and other scripts that are written without spaces.

Every letter, number and symbol is a token, with the marks that it carries (the vowel signs of Thai, say), but for
Latin letters and digits, of which a run is one token: "一只dog" is 一, 只 and dog. What looks alike is alike: text is
brought to Unicode's form NFKC (full-width ＤＯＧ is dog, half-width ｶﾞ is ガ) and to lower case. Spaces and punctuation
are left out, as coco-caption leaves punctuation out of English.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from gan_caption.metrics.ngrams import check_captions

_LATIN = r"0-9a-z\u00df-\u00f6\u00f8-\u02af\u1e00-\u1eff"
_RUN = rf"[{_LATIN}][{_LATIN}\u0300-\u036f]*"
# T-shirt, don't and 3.5 stay whole, as PTB has them; anything else comes sign by sign.
_PIECE = re.compile(rf"<unk>|{_RUN}(?:[-.']{_RUN})*|.", re.DOTALL)
# Thai, Lao, Tibetan, Burmese, Khmer, kana, ideographs.
_UNSPACED = re.compile("[\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_VOWELS_AND_FINALS = range(0x1160, 0x1200)  # of a Korean syllable written in parts
_MARKS = 30
"""So many may follow a letter, as in Unicode's Stream-Safe Text Format (UAX 15): normalisation sorts them in a time
that grows by their square. No script needs more than a few."""

NO_SPACE = rf"(?<![{_LATIN}\u0300-\u036f]) | (?![{_LATIN}])"
"""A pattern of the spaces that text has not, where tokens are joined by spaces: all but those between Latin words."""


def character_tokenize(captions: Sequence[str]) -> list[str]:
    """Tokenize captions by character.

    Args:
        captions: raw text.

    Returns:
        tokens joined by single spaces, as every metric reads them; "" where nothing is left. `<unk>` stays one token.

    Raises:
        UserError: one text is given, and no list.
    """
    check_captions(captions)
    return [" ".join(characters(caption)) for caption in captions]


def without_spaces(captions: Sequence[str]) -> int:
    """Return how many captions are in a script that is written without spaces, and hold none."""
    return sum(len(caption.split()) == 1 and _UNSPACED.search(caption) is not None for caption in captions)


def characters(text: str) -> list[str]:
    """Return the tokens of a text."""
    text = _with_few_marks(text)
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower()).replace("\u2019", "'")
    tokens: list[list[str]] = []
    carries = False  # whether a mark that comes now belongs to the last token
    for piece in _PIECE.findall(text):
        kind = unicodedata.category(piece[0])[0]
        if kind == "M" or ord(piece[0]) in _VOWELS_AND_FINALS:
            if carries:
                tokens[-1].append(piece)
            continue
        carries = kind in "LNS"  # letters, numbers, symbols; not punctuation, spaces, controls
        if carries:
            tokens.append([piece])
    return list(map("".join, tokens))


def _with_few_marks(text: str) -> str:
    """Leave out the marks of a run that are too many."""
    if text.isascii() or len(text) <= _MARKS:
        return text
    kept, run = [], 0
    for sign in text:
        # What a half-width kana's mark, say, becomes is a mark, which it is not itself.
        run = run + 1 if unicodedata.combining(unicodedata.normalize("NFKD", sign)[0]) else 0
        if run <= _MARKS:
            kept.append(sign)
    return "".join(kept)
