"""A tokenizer as a pretrained model brings it: subwords, own special ids anywhere, no `<unk>`, text with capitals."""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Iterable
from pathlib import Path

from gan_caption.data.captions import BOS, EOS, PAD
from gan_caption.text.base import Tokenizer

SIGNS = string.ascii_letters + string.digits + ".,!?'-"
OWN = [
    "[MASK]", *SIGNS[:30], "[SEP]", *SIGNS[30:], " a", " red", " blue", "ing", "[PAD]", " s", " g", "rcle", " c", "tri",
    "[CLS]", " ", "le", "an",
]  # fmt: skip
"""Its own ids: here EOS is 31, PAD comes late, and there is a token that no caption has."""
_SPECIAL = {"[PAD]": PAD, "[CLS]": BOS, "[SEP]": EOS}


class Subwords(Tokenizer):
    """The longest piece that fits comes next; every ASCII letter is a piece, so that nothing is unknown."""

    file = "subwords.json"

    def __init__(self) -> None:
        pieces = [own for own, piece in enumerate(OWN) if piece not in _SPECIAL and piece != "[MASK]"]
        self.own_of = {EOS + 1 + place: own for place, own in enumerate(pieces)}
        self.own_of |= {program: OWN.index(piece) for piece, program in _SPECIAL.items()}
        self.program_of = {own: program for program, own in self.own_of.items()}

    def own_ids(self, text: str) -> list[int]:
        """What the pretrained model's own code would give."""
        ids, rest = [], text
        while rest:
            piece = max((piece for piece in OWN if rest.startswith(piece)), key=len)
            ids.append(OWN.index(piece))
            rest = rest[len(piece) :]
        return ids

    def encode(self, text: str, *, max_length: int) -> list[int]:
        return [self.program_of[own] for own in [*self.own_ids(text), OWN.index("[SEP]")]][:max_length]

    def decode(self, ids: Iterable[int]) -> str:
        pieces: list[str] = []
        for token in ids:
            if token == EOS:
                break
            if token not in (PAD, BOS):
                pieces.append(OWN[self.own_of[token]])
        return "".join(pieces)

    def __len__(self) -> int:
        return max(self.own_of) + 1

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(OWN).encode()).hexdigest()[:16]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(OWN))

    def load(self, path: Path) -> Subwords:
        assert json.loads(path.read_text()) == OWN
        return self
