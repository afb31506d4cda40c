"""Tokens as coco-caption makes them: Stanford's PTBTokenizer (3.4.1, lower case), its punctuation left out; no Java.

Penn Treebank conventions: "don't" is "do n't", "dog's" is "dog 's", "cannot" is "can not"; hyphens, slashes and inner
points stay inside words; brackets become -lrb-, -rrb- ... and, as in coco-caption, stay (its list has them in upper
case, its tokens are in lower case). The rules were found by asking the Java tool.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Words that keep their point everywhere; written with a capital; before a number.
_ABBREVIATIONS = (
    "adj|adm|adv|al|ala|apr|ariz|assn|assoc|atty|aug|ave|bhd|bldg|blvd|brig|bros|calif|capt|cf|cie|cmdr|co|col|colo"
    "|comdr|conn|corp|cos|cpl|ct|dak|dec|dept|det|dr|drs|elec|ens|esq|est|etc|ext|feb|fla|fri|ft|ga|gen|gov|hon|inc|ind"
    "|intl|jan|jos|jr|jul|jun|kans?|ky|lieut|lt|ltd|maj|mar|md|messrs|mfg|mich|minn|mlle|mme|mo|mon|mont|mr|mrs|ms|msgr|mt|mtg"
    "|natl|neb|nev|nov|oct|okla|penn|pfc|ph|plc|pres|prof|pte|pty|pvt|rd|rep|rev|rt|sen|sens|sept?|seq|sfc|sgt|spc|sq"
    "|sr|st|ste|supt|sys|tel|tenn|thu|thurs|tues?|univ|va|vs|vt|wed|wisc?|wm|wyo"
)
_CAPITAL_ABBREVIATIONS = "Ark|Az|Del|Ill|La|Mass|Miss|Ore|Pa|Tex|Wash"
_NUMBERED = "art|ca|figs?|nos?|op|pp|prop"
# After a single letter and a point these begin a sentence; before anything else the letter is an initial.
_OPENERS = (
    "A|About|According|After|An|As|At|But|He|Her|Here|However|If|In|It|Last|Many|More|Now|Once|One|Other|Our|She|Since"
    r"|So|Some|Such|That|The|Their|Then|There|These|They|This|We|What|When|While|Yet|You|Mr\.|Ms\."
)
# Superscripts stand apart, Roman numerals of one sign are dropped.
_LETTER, _CHARACTER = r"[^\W\d_\u00b2\u00b3\u00b9\u2160-\u2188]", r"[^\W_\u00b2\u00b3\u00b9\u2160-\u2188]"
_ACCENT = r"&[aeiouAEIOU](?:acute|grave|uml);"
_WORD = rf"(?:{_LETTER}|{_ACCENT})(?:{_CHARACTER}|[\u0300-\u036f]|{_ACCENT})*"
# What a rule may read ahead before it gives up: without a bound, text without spaces takes time by its length squared.
_SOME = "{1,200}"
# The first that fits wins.
_RULES = [
    r"[A-Za-z]+(?!\S)",  # most of any caption
    r"&[lg]t;",
    r"https?://[^\s\"<>()]+[^\s\"<>().,;:!?]|www\.[^\s\"<>()]+[^\s\"<>().,;:!?]",
    rf"(?:[^\s\"'|!(){{}}$,-_]{_SOME}\.){{1,20}}(?:com|net|org|edu)/[^\s\"<>|()]+[^\s\"<>|.!?(){{}},-]",
    rf"[^\s@\"'<>(),;:]{_SOME}@[^\s@\"'<>(),;:]{_SOME}\.[A-Za-z]{{2,}}",
    r"</?[A-Za-z][^<>]*>",
    r"-[lr][rsc]b-|[nN]'[tT](?!\w)|[yY]'(?= all\b)",
    r"\d{1,4}-\d{1,4}/\d{1,4}(?![/\w-])",
    r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}",  # black/white
    # t-shirt, 10,000-foot, non-U.S.
    rf"{_CHARACTER}(?:{_CHARACTER}|[.,]){{0,200}}(?:[-_](?:(?:[A-Za-z]\.){{2,}}(?![A-Za-z])|{_CHARACTER}+))+",
    r"[A-Z]+(?:[+&][A-Z]+)+",  # B&W
    r"[A-Za-z](?:\.[A-Za-z])+\.(?![A-Za-z])",  # u.s., e.g.
    r"(?i:ph\.d)\.(?![A-Za-z])",
    rf"[A-Za-z]\.(?![A-Za-z]|\s+(?:{_OPENERS})(?!\S))",
    rf"(?:(?i:{_ABBREVIATIONS})|{_CAPITAL_ABBREVIATIONS})\.(?![A-Za-z])",
    rf"(?i:{_NUMBERED})\.(?=\s*\d)",
    rf"{_LETTER}{_CHARACTER}*\.(?=[,;:])",
    r"(?<!\w)'[nN]'(?!\w)",
    r"'\d\d(?:s\b|(?!\S| 's))",
    r"'(?i:em|till?|cause)",
    r"'[tT](?= ?(?i:is|was))|(?<!\w)[dD]'(?i:ye)\b",
    r"[-+]?\d*(?:[.,:]\d+)+|[-+]\d+",  # 1,000 7:30 .5 -1
    r"(?i:ma'am|c'mon|c'est|ne'er|e'er|cap'n|nat'l|s'mores)\b",
    rf"(?:[djlnoy]|(?!I)[A-Z])'{_LETTER}{_CHARACTER}+",  # o'clock
    rf"{_LETTER}+[aeiouyAEIOUY]'[aeiouA-Z]{_CHARACTER}*",  # hawai'i
    r"[A-Z]+\$|[cC](?:\+\+|#)",
    rf"{_WORD}(?:[.!?]{_WORD})*|{_CHARACTER}+",
    r"'(?i:s|m|d|re|ve|ll|n)\b",
    r"[<>]?[:;=][-o*']?[()DPdpO@|{\\\]\[](?![A-Za-z])|[-^=~<>]_[-^=~<>](?![A-Za-z])",  # :-) ^_^
    r"#[A-Za-z]+|@\w+",
    r"\.{2,}|-{2,}",  # so that no number begins with their last point or dash
    r"[!?]{2,}|\*+|_+|#+|@+",
    # Other signs; single punctuation marks match nothing, and so are left out.
    r"[\u00b2\u00b3\u00b9]|[^\w\s.,:;?!'\"\-\u200b\ufeff\ufffd\U00010000-\U0010ffff]",
]
# The space is taken along: trying every rule on it in vain would double the time.
_TOKEN = re.compile(f" ?({'|'.join(_RULES)})")
_PRINTED_AS = {
    "(": ("-lrb-",), ")": ("-rrb-",), "[": ("-lsb-",), "]": ("-rsb-",), "{": ("-lcb-",), "}": ("-rcb-",),
    "&lt;": ("<",), "&gt;": (">",),
    "cannot": ("can", "not"), "gonna": ("gon", "na"), "gotta": ("got", "ta"), "wanna": ("wan", "na"),
    "gimme": ("gim", "me"), "lemme": ("lem", "me"),
}  # fmt: skip
_FACE = str.maketrans({"(": "-lrb-", ")": "-rrb-"})
_SIGNS = str.maketrans(
    {
        "\u2018": "'", "\u2019": "'", "\u201b": "'", "\u201c": '"', "\u201d": '"', "\u2039": "'", "\u203a": "'",
        "\u00ab": '"', "\u00bb": '"', "\u2013": " -- ", "\u2014": " -- ", "\u2026": " ... ",
        "\u00bd": " 1/2 ", "\u00bc": " 1/4 ", "\u00be": " 3/4 ",
        "\u2153": " 1/3 ", "\u2154": " 2/3 ", "\u00a2": " cents ", "\u00a3": " # ", "\u20ac": " $ ",
        "\u00a0": " ", "\u00ad": "",
    }
)  # fmt: skip


def ptb_tokenize(captions: Sequence[str]) -> list[str]:
    """Tokenize captions as coco-caption does before every metric.

    Args:
        captions: raw text; line separators inside a caption are spaces, so one caption in is one caption out.

    Returns:
        tokens in lower case, joined by single spaces, punctuation left out; "" where nothing is left. Where the Java
        tool joins "1 1/2" by a no-break space, this is a plain one; and a caption never looks at the next one, while
        the Java tool reads over the end of the line to tell whether a point belongs to a last single letter.
    """
    return [" ".join(_tokens(caption)) for caption in captions]


def _tokens(caption: str) -> list[str]:
    text = caption if caption.isascii() else caption.translate(_SIGNS)
    text = text.replace("`", "'").replace("&amp;", "&").replace("&quot;", '"').replace("&apos;", "'")
    text = text.replace("&nbsp;", " ")
    found: list[str] = []
    for token in _TOKEN.findall(_apart(" ".join(text.split()))):
        token = token.lower()
        if token.strip(".-"):
            found += _PRINTED_AS.get(token) or (token.translate(_FACE),)
    return found


def _apart(text: str) -> str:
    """Set contractions apart: "don't" -> "do n't", "dog's" -> "dog 's", "y'all" -> "y' all"."""
    if "'" not in text:
        return text
    text = re.sub(r"\b([yY])'all\b", r"\1' all", text)
    text = re.sub(r"(?<=\w)('[nN]')(?=\w)", r" \1 ", text)
    text = re.sub(r"(?<=\w)([nN]'[tT])(?!\w)", r" \1", text)
    text = re.sub(r"(?i)(?<=\w)('(?:s|m|d|re|ve|ll|n))(?![\w'])(?<!cap'n)", r" \1", text)
    return re.sub(r"(?i)(?<!\w)('t)(is|was)", r"\1 \2", text)
