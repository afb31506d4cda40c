"""Stanford's tokenizer as pycocoevalcap calls it, each caption by itself."""

from __future__ import annotations

from collections.abc import Sequence

from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from gan_caption.errors import UserError

_BETWEEN = "then"


def jar_tokens(captions: Sequence[str]) -> list[str]:
    """Return what pycocoevalcap makes of each caption.

    The jar reads one caption a line, and looks over the end of the line to tell whether a full stop ends a sentence. So
    an ordinary word stands on a line of its own behind each caption.

    Raises:
        UserError: a caption shifts the lines; one with a line separator does.
    """
    lines = [line for caption in captions for line in (caption, _BETWEEN)]
    told = PTBTokenizer().tokenize({row: [{"caption": line}] for row, line in enumerate(lines)})
    tokens = [told[row][0] for row in range(len(lines))]
    if set(tokens[1::2]) != {_BETWEEN}:
        first = next(row for row, line in enumerate(tokens[1::2]) if line != _BETWEEN)
        raise UserError(f"caption {first} or one before it shifts the jar's lines: {captions[first]!r}")
    return tokens[::2]
