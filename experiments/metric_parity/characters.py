"""Ask the jar how it takes each character of Unicode's first plane, and write `gan_caption/metrics/ptb_characters.py`.

    python -m experiments.metric_parity.characters

The other planes need no table: the jar drops all of them.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from experiments.metric_parity.jar import jar_tokens

TARGET = Path(__file__).parents[2] / "gan_caption" / "metrics" / "ptb_characters.py"
CONTEXTS = ("a {} b", "a{}b", "a-{}b", "a {}{} b")
SEPARATORS = (0x2028, 0x2029)  # they end a line, as the jar reads it
# What the jar prints in these contexts, of a character X.
KINDS: dict[tuple[str, ...], str] = {
    ("a X b", "aXb", "a-Xb", "a XX b"): "letters",
    ("a X b", "aXb", "a Xb", "a XX b"): "marks",
    ("a X b", "a X b", "a X b", "a X X b"): "signs",
}


def main() -> None:
    points = [point for point in range(0x80, 0x10000) if not 0xD800 <= point < 0xE000 and point not in SEPARATORS]
    told = jar_tokens([context.replace("{}", chr(point)) for point in points for context in CONTEXTS])
    found: dict[str, list[int]] = {"letters": [], "digits": [], "marks": [], "signs": []}
    for place, point in enumerate(points):
        own = told[place * len(CONTEXTS) : (place + 1) * len(CONTEXTS)]
        printed = tuple(text.replace(chr(point), "X").replace(chr(point).lower(), "X") for text in own)
        # The last word's final sigma is another letter, of which the second context knows nothing.
        kind = KINDS.get(printed) or ("letters" if printed[1:3] == ("aXb", "a-Xb") else None)
        if kind and printed[0] != "a b":
            found["digits" if kind == "letters" and unicodedata.category(chr(point)) == "Nd" else kind].append(point)
    head, _, rest = TARGET.read_text(encoding="utf-8").partition("# BEGIN\n")
    tail = rest.partition("# END\n")[2]
    tables = "".join(_table(name, points) for name, points in found.items())
    TARGET.write_text(f"{head}# BEGIN\n{tables}# END\n{tail}", encoding="utf-8")


def _table(name: str, points: Iterable[int]) -> str:
    lines = textwrap.wrap(" ".join(_ranges(points)), 116)
    body = "\n".join(f"    {line}" for line in lines)
    return f'_{name.upper()} = """\n{body}\n"""\n'


def _ranges(points: Iterable[int]) -> list[str]:
    ranges: list[list[int]] = []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return [f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in ranges]


if __name__ == "__main__":
    main()
