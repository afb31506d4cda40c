"""Ask the jar about captions of every kind, print how many have its tokens, and keep some for the tests.

    python -m experiments.metric_parity.kinds

It writes `tests/metrics/ptb_kinds.jsonl`: a kind, a caption and the jar's tokens a line. With `quick` every hundredth
caption is asked about, and none is kept.
"""

from __future__ import annotations

import itertools
import json
import random
import string
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from experiments.metric_parity.jar import jar_tokens
from gan_caption.metrics import ptb_tokenize
from gan_caption.metrics.ptb_characters import SHAPES
from gan_caption.reporting.table import markdown

TARGET = Path(__file__).parents[2] / "tests" / "metrics" / "ptb_kinds.jsonl"
KEPT = 100
AT_ONCE = 200_000
"""Captions for each start of Java."""
ENDS_OF_LINES = "\n\r\v\f\u2028\u2029"
CONTEXTS = (
    "{}",
    "a {} b",
    "a{}b",
    "a{} b",
    "a {}b",
    "a {}{} b",
    "a{}{}b",
    "5{}5",
    "a-{}b",
    "a {}5 b",
    "don{}t",
    "A{}A.",
)
SIGNS = "aAs5 .,:;!?'\"`-_/\\&$%#@*()[<>+=~^|"
SCRIPTS = (
    (0x41, 0x5B), (0x61, 0x7B), (0xC0, 0x180), (0x370, 0x400), (0x400, 0x460), (0x530, 0x590), (0x590, 0x600),
    (0x600, 0x700), (0x900, 0x980), (0x980, 0xA00), (0xB80, 0xC00), (0xE00, 0xE80), (0x1000, 0x10A0), (0x1E00, 0x2000),
    (0x2000, 0x2028), (0x202A, 0x2070), (0x2600, 0x27C0), (0x3040, 0x3100), (0x4E00, 0x4F00), (0xAC00, 0xAD00),
    (0xFE00, 0x10000), (0x1F300, 0x1F700), (0x01, 0x0A), (0x80, 0x85), (0x86, 0xA1),
)  # fmt: skip
_PIECES = """
a man A dog The woman Two girls it's don't can't. they're he'll, girl's boys' T-shirt black/white and/or mother-in-law
"Hello," 'stop' (on) [the] grass, beach; red: blue! green? what?! wow!! -- - ... U.S. D.C. p.m. Mr. St. Dr. Ave. etc.
Inc. No. a.m. D. Jr. Co. vs. Mt. Ft. e.g. i.e. Ph.D. U.N. Sr. Mrs. Prof. Gen. Corp. Ltd. Jan. Calif. Mass. Pa. fig. B.
5 10 2nd 1950s 1950's 10-year-old 5:10pm 1,000 3.5 1/2 #1 #5 $5 $5.00 50% R&B M&M's & o'clock 'n' cannot gonna y'all
3/4 23 1 ½ 2½ ⅓ 5-1/2 café naïve “quoted” ‘single’ w/ 4x4 10,000-foot A. no. 'em street.The dog,cat one-handed, @user
*star* http://a.b/c don’t dog’s ’s ’em ‘n’ l’eau नमस्ते दुनिया বাংলা தமிழ் ภาษาไทย จ้ำ مُحَمَّد עִבְרִית 狗在跑 ❤️ 👨‍👩‍👧 👍🏽 – — …
jean-luc été-là São straße Łódź
"""
_ABBREVIATIONS = """
Mr. Mrs. Ms. Dr. St. Jr. Sr. D. U.S. U.S.A. U.K. D.C. Inc. Co. Corp. Ltd. a.m. p.m. No. no. Nos. fig. pp. p. art. etc.
e.g. i.e. vs. Ph.D. Ave. Blvd. Rd. Mt. Ft. Gen. Sen. Rep. Prof. Rev. Capt. Lt. Col. Jan. Feb. Sept. Dec. Mon. Tues.
Mass. Pa. Wash. Calif. Tex. al. est. approx. dept. ext. tel. ca. misc. max. min. in. ft. yd. lb. oz. cm. A. I. x. é.
"""


def main(size: str = "full") -> None:
    if size not in ("full", "quick"):
        sys.exit(f"size {size}: full or quick")
    rows, kept = [["captions", "number", "unequal", "%"]], []
    asked = {name: make()[:: 100 if size == "quick" else 1] for name, make in KINDS.items()}
    every = list(itertools.chain.from_iterable(asked.values()))
    jars = itertools.chain.from_iterable(
        jar_tokens(every[first : first + AT_ONCE]) for first in range(0, len(every), AT_ONCE)
    )
    for name, captions in asked.items():
        told = list(zip(captions, ptb_tokenize(captions), itertools.islice(jars, len(captions)), strict=True))
        unequal = [row for row in told if row[1] != row[2]]
        rows.append([name, str(len(told)), str(len(unequal)), f"{100 * len(unequal) / len(told):.2f}"])
        kept += [{"kind": name, "caption": raw, "tokens": jar} for raw, _, jar in _some(told)]
    if size == "full":
        TARGET.write_text("".join(f"{json.dumps(row, ensure_ascii=True)}\n" for row in kept), encoding="utf-8")
    print(markdown(rows))


def _some(told: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    return random.Random(0).sample(told, min(KEPT, len(told)))


def code_points() -> list[str]:
    """Every code point of the first plane and every assigned one of the others, in twelve surroundings."""
    points = [point for point in range(1, 0x110000) if not 0xD800 <= point < 0xE000]
    told = [chr(point) for point in points if point < 0x10000 or unicodedata.category(chr(point)) not in ("Cn", "Co")]
    # Of ideographs of other planes, which are all alike, a hundredth.
    told = [sign for sign in told if sign not in ENDS_OF_LINES and (ord(sign) < 0x20000 or ord(sign) % 100 == 0)]
    return [context.replace("{}", sign) for sign in told for context in CONTEXTS]


def edges() -> list[str]:
    """The first and the last code point of each run of those that are taken alike."""
    points = [point for point in range(0x80, 0x10000) if not 0xD800 <= point < 0xE000]
    told = [
        chr(point)
        for point in points
        if SHAPES[point - 1] != SHAPES[point] or SHAPES[point] != SHAPES[(point + 1) % 0x10000]
    ]
    return [f"a {sign} a{sign}b 5{sign}5 a-{sign}b" for sign in told if sign not in ENDS_OF_LINES]


def ascii_pairs() -> list[str]:
    pairs = ["".join(pair) for pair in itertools.product(map(chr, range(32, 127)), repeat=2)]
    return [
        context.replace("{}", pair) for pair in pairs for context in ("{}", "a{}b", "a {} b", "5{}5", "a{} b", "a {}b")
    ]


def ascii_triples() -> list[str]:
    return ["".join(three) for three in itertools.product(SIGNS, repeat=3)]


def ascii_piles() -> list[str]:
    draw = random.Random(1)
    return ["".join(draw.choices(SIGNS + "aAsTt5 .'- ", k=draw.randint(4, 12))) for _ in range(60000)]


def words_with_points() -> list[str]:
    """Every word of up to four letters, with a point behind it: which are abbreviations?"""
    told = ("".join(letters) for n in range(1, 5) for letters in itertools.product(string.ascii_lowercase, repeat=n))
    return [f"a {word.capitalize() if upper else word}. b" for word in told for upper in (False, True)]


def abbreviations() -> list[str]:
    forms = (
        "{}",
        "a dog by {}",
        "1 1/2 miles to {}",
        "“{}”",
        "({})",
        "{}.",
        "{} .",
        "{},",
        "{}'s",
        "{} The",
        "{} 5",
        "at 5 {}",
    )
    return [form.replace("{}", one) for one in _ABBREVIATIONS.split() for form in forms]


def mixed_scripts() -> list[str]:
    texts: list[str] = []
    signs = st.one_of(
        st.just(" "), st.sampled_from(".,:;!?'\"-_/&()’‘“”–…½°€\u200d\u200b\u2060\ufe0f\xad\xa0"),
        st.sampled_from(string.digits),
        *(st.integers(first, last - 1).map(chr) for first, last in SCRIPTS),
    )  # fmt: skip

    @settings(max_examples=60, derandomize=True, database=None, phases=[Phase.generate], deadline=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.lists(st.text(signs, min_size=1, max_size=30), min_size=100, max_size=400))
    def collect(told: list[str]) -> None:
        texts.extend(told)

    collect()
    return texts


def pieces() -> list[str]:
    draw = random.Random(2)
    return [
        " ".join(draw.choices(_PIECES.split(), k=draw.randint(1, 10))) + draw.choice(["", " .", "."])
        for _ in range(60000)
    ]


def glued_pieces() -> list[str]:
    draw = random.Random(3)
    glue = ("", "", " ", " ", "-", "/", "'", ".", ",")
    return [
        "".join(one + draw.choice(glue) for one in draw.choices(_PIECES.split(), k=draw.randint(1, 6)))
        for _ in range(60000)
    ]


KINDS: dict[str, Callable[[], list[str]]] = {
    "every code point, in 12 surroundings": code_points,
    "where tables begin and end": edges,
    "pairs of ASCII characters, in 6 surroundings": ascii_pairs,
    "all triples of 35 ASCII characters": ascii_triples,
    "piles of 4 to 12 ASCII characters": ascii_piles,
    "a word of 1 to 4 letters and a point": words_with_points,
    "abbreviations, in 12 places": abbreviations,
    "mixed scripts, digits, joiners and controls (Hypothesis)": mixed_scripts,
    "pieces of captions in any order": pieces,
    "the same, glued together": glued_pieces,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
