"""Text by the subwords of a pretrained language model, whose ids become the program's."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from gan_caption.errors import UserError
from gan_caption.files import write_atomically
from gan_caption.text.base import Tokenizer
from gan_caption.text.pretrained_models import Source, ends_of, find_model, load_tokenizer
from gan_caption.text.special import EOS, UNK
from gan_caption.untrusted.parsing import parse_json, shown

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_JOINERS = frozenset("\u200c\u200d\u00ad") | frozenset(map(chr, range(0xE0020, 0xE0080)))
"""Signs without a look of their own that belong to the spelling: two joiners, the soft hyphen, and the tags that name
the flag of England."""
_BEFORE_SIGNS = re.compile(r"\s+(?=[.,!?;:](?:\s|$))")


class PretrainedTokenizer(Tokenizer):
    """The tokenizer of a pretrained language model.

    Captions stay as people write them, with capitals and full stops; `normalize` only tidies their spaces. Subwords
    write everything, so that `<unk>` does not occur; what a model without bytes has no token for is left out. Text that
    looks like a special token (`<|endoftext|>` in a caption) is text, or is left out where a model of SentencePiece's
    kind has that token as its only spelling.
    """

    file = "pretrained_tokenizer.json"

    def __init__(self, *, model: str) -> None:
        """Load the model's tokenizer.

        Args:
            model: see `text.pretrained_models`.

        Raises:
            UserError: a package is missing, or there is no such model.
        """
        self.model = model
        self.source = find_model(model)
        import tokenizers  # which is there now: else the model was refused

        theirs = load_tokenizer(self.source)
        self._own = program_order(theirs, self.source)
        self._ids = {own: place for place, own in enumerate(self._own) if place > EOS}
        self._subwords = tokenizers.Tokenizer.from_str(theirs.backend_tokenizer.to_str())
        self._subwords.no_truncation()
        self._subwords.no_padding()
        self._subwords.encode_special_tokens = True  # as text
        pieces = [self._subwords.id_to_token(own) for own in self._own]
        self._fingerprint = hashlib.sha256(json.dumps(pieces).encode()).hexdigest()[:16]

    def normalize(self, captions: Sequence[str]) -> list[str]:
        """Make runs of spaces one, and put signs behind the word before them: "a dog ." becomes "a dog."."""
        return [_BEFORE_SIGNS.sub("", " ".join(caption.split())) for caption in captions]

    def encode(self, text: str, *, max_length: int) -> list[int]:
        """Turn text into at most `max_length` ids; see `Tokenizer.encode`."""
        own = self._subwords.encode(text, add_special_tokens=False).ids
        return [*(self._ids[one] for one in own if one in self._ids), EOS][:max_length]

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text, up to `EOS`; what is no sign to look at (the end of a line, say) becomes a space."""
        runs: list[list[int]] = [[]]
        for token in takewhile(lambda token: token != EOS, ids):
            if token == UNK:
                runs.append([])
            elif token > EOS:
                runs[-1].append(self._own[token])
        told = [self._subwords.decode(own) for own in runs]
        text = told[0] if len(runs) == 1 else " <unk> ".join(one.strip() for one in told).strip()
        return "".join(sign if _is_kept(sign) else " " for sign in text)

    def __len__(self) -> int:
        return len(self._own)

    @property
    def fingerprint(self) -> str:
        """A hash of the subwords in the order of their ids."""
        return self._fingerprint

    def save(self, path: Path) -> None:
        """Write which model's tokenizer this is; the subwords stay where they are."""
        told = {"description": self.source.name, "digest": self.source.digest, "fingerprint": self.fingerprint}
        content = json.dumps(told, indent=1, ensure_ascii=False)
        write_atomically(path, lambda file: file.write(content.encode()))

    def load(self, path: Path) -> PretrainedTokenizer:
        """Return this tokenizer, if it is the one that was saved.

        Raises:
            UserError: the file is missing or names another one.
        """
        try:
            told = parse_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}): a run folder holds one") from error
        known = told if isinstance(told, dict) else {}
        if known.get("fingerprint") != self.fingerprint:
            name, digest = (shown(str(known.get(key, "unknown"))) for key in ("description", "digest"))
            raise UserError(
                f"{path}: the run's tokenizer is that of {name} (digest {digest[:16]}), and lm.model={self.model} is "
                f"{self.source.description} (digest {self.source.digest[:16]}), whose token ids mean other words. Give "
                "the model that it was trained with"
            )
        return self


def program_order(tokenizer: PreTrainedTokenizerBase, source: Source) -> tuple[int, ...]:
    """Return the model's own id of each id of the program.

    The four special ones come first: `EOS` is the model's end, `BOS` its beginning, or its end where it has none (as
    GPT-2), and `PAD` and `UNK`, which are never read, stand at its end as well. Subwords follow in their own order;
    special tokens that no caption has (`<|im_start|>`) get no id.

    Raises:
        UserError: the model has no end of a text.
    """
    begin, end = ends_of(tokenizer, source)
    special = {own for own, added in tokenizer.added_tokens_decoder.items() if added.special}
    special.update(tokenizer.all_special_ids)
    return (end, begin, end, end, *sorted(set(tokenizer.get_vocab().values()) - special))


def _is_kept(sign: str) -> bool:
    """Tell whether a sign can be seen, or belongs to the spelling; one that Python has not heard of yet can be seen."""
    return sign.isprintable() or sign in _JOINERS or unicodedata.category(sign) == "Cn"
