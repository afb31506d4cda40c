"""The tokenizer, on any text."""

from __future__ import annotations

from gan_caption.metrics import ptb_tokenize

READERS = {"ptb_tokenize"}


def seeds() -> dict[str, bytes]:
    texts = [
        "A man's dog doesn't run 1,000 feet (or 2 1/2 miles) at 7:30 p.m. :-)",
        "B&W t-shirt, U.S. hawai\u2019i \u201ccaf\u00e9\u201d \u2026 &lt;b&gt; http://a.com/b a@b.org #tag @me \u00bd",
    ]
    made = {f"text_{place}": text.encode() for place, text in enumerate(texts)}
    # Whatever a pattern might repeat, often: a pattern that goes back over it in more than linear time takes forever.
    pieces = [
        "a", "a.", "a-", "a/", "a'", "&a", "1,", "1.", "-1", "1-1/", "'", ".", "-", "@", "a@", "<a", "<", "A&", "n't",
        "\u0301", "#a", ",A", "_<a", "a.com/", "http://", "&&+", "..a",
    ]  # fmt: skip
    return made | {f"repeated_{place}": (piece * 20_000).encode() for place, piece in enumerate(pieces)}


def one_input(data: bytes) -> set[str]:
    text = data.decode("utf-8", "surrogateescape")  # what is no UTF-8 becomes halves of surrogate pairs
    (tokens,) = ptb_tokenize([text])
    assert all(tokens.split(" ")) or not tokens, "single spaces"
    assert not set(tokens) & set("\n\r\v\f\x85\u2028\u2029"), "no line end that makes two captions of one"
    return READERS
