"""Tokens as coco-caption makes them: Stanford's PTBTokenizer (3.4.1, lower case), its punctuation left out; no Java.

Penn Treebank conventions: "don't" is "do n't", "dog's" is "dog 's", "cannot" is "can not"; hyphens, slashes and inner
points stay inside words; brackets become -lrb-, -rrb- ... and, as in coco-caption, stay (its list has them in upper
case, its tokens are in lower case). The rules were found by asking the Java tool. They read a caption's shape, in which
é stands for every letter that is not English (see `SHAPES`); the tokens are cut from the caption at the same places.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gan_caption.metrics.ngrams import check_captions
from gan_caption.metrics.ptb_characters import SHAPES

# Words that keep their point everywhere: those that may end a sentence, of them those written with a capital, titles.
_ENDINGS = (
    "ala?|apr|ariz|assn|aug|bhd|bldg|blvd|bros|calif|co|colo|conn|corp|cos|ct|dak|dec|esq|est|etc|ext|feb|fla|fri|ga"
    "|inc|ind|intl|jan|jr|jul|jun|kans?|ky|ltd|mar|md|mich|minn|mo|mon|mont|neb|nev|nov|oct|okla|penn|ph\\.d|plc"
    "|p?ptes?|p?ptys?|rd|rt|sept?|seq|sq|sr|sys|tel|tenn|thu|thurs|tues?|univ|va|vt|wed|wisc?|wyo"
)
_CAPITAL_ENDINGS = "Ark|Az|Del|Ill|La|Mass|Miss|Ore|Pa|Tex|Wash|ARK|AZ|DEL|ILL|LA|MASS|MISS|ORE|PA|TEX|WASH"
_TITLES = (
    "adj|adm|adv|alex|assoc|asst|atty|ave|brig|capt|cf|cie|cmdr|col|comdr|cpl|dept|det|drs?|elec|ens|ft|gen|govs?|hon"
    "|insp|invt|jos|lieut|lt|maj|messrs|mfg|mlle|mme|mr|mrs|ms|msgr|mt|mtg|natl|pfc|ph|pres|prof|pvt|reps?|rev|sens?"
    "|sfc|sgt|spc|ste?|supt|vs|wm"
)
# These before a number only.
_NUMBERED = "art|ca|figs?|nos?|op|pp|prop"
# After a single letter and a point these begin a sentence; before anything else the letter is an initial.
_OPENERS = (
    "A|About|According|After|An|As|At|But|He|Her|Here|However|If|In|It|Last|Many|More|Now|Once|One|Other|Our|She|Since"
    r"|So|Some|Such|That|The|Their|Then|There|These|They|This|We|What|When|While|Yet|You|Mr\.|Ms\."
)
# As `SHAPES` writes letters, digits and marks; marks join words, but neither hyphenated ones nor numbers.
_LETTER, _CHARACTER = "[A-Za-zé]", "[A-Za-z0-9é]"
_ACCENT = r"&[aeiouAEIOU](?:acute|grave|uml);"
_WORD = rf"(?:[A-Za-zé\u0301\xad]|{_ACCENT})(?:[A-Za-z0-9é\u0301\xad]|{_ACCENT})*"
_INITIALS = r"(?:[A-Za-z]\.){2,}(?![A-Za-z])"
_NAME = "[A-Za-z][A-Za-z0-9_:.-]*"
_ATTRIBUTE = rf"[ ]+{_NAME}(?:=[ ]*(?:'[^'\t]*'|\"[^\"\t]*\"))?"
_URL = r"[^ \t\"<>|()]+[^ \t\"<>|.!?(){},-]"
# What a rule may read ahead before it gives up: without a bound, text without spaces takes time by its length squared.
_SOME = "{1,200}"
_HOST = rf"[^ \t\"<>|(){{}}.]{_SOME}"
# The first that fits wins.
_RULES = [
    r"[A-Za-z]+(?!\S)",  # most of any caption
    r"&(?:[lg]t|#39|HT|TL|UR|LR|Q[CLR]|[oc]dq);",
    rf"https?://{_URL}|www\.[^\s\"<>()]+[^\s\"<>().,;:!?]",
    rf"(?:[^\s\"'|!(){{}}$,-_]{_SOME}\.){{1,20}}(?:com|net|org|edu)/{_URL}",
    rf"<?[A-Za-z0-9][^ \t\"<>|(){{}}]{{0,200}}@(?:{_HOST}\.){{0,20}}{_HOST}>?",
    rf"<{_NAME}(?:{_ATTRIBUTE})*(?:[ ]*/)?[ ]*>|</{_NAME}[ ]*>|<[!?][A-Za-z-][^>\t]{{0,200}}>",
    r"-[lr][rsc]b-|[nN]['`][tT](?!\w)|[yY]'(?=[A-Za-z]| all\b)",
    r"[0-9]{1,4}[- \xa0][0-9]{1,4}[/⁄][0-9]{1,4}|[0-9]{1,4}(?:⁄[0-9]{1,4}|/[0-9]{1,4}(?![/\w-]))",
    r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}",  # black/white
    rf"(?:(?i:{_ENDINGS})|{_CAPITAL_ENDINGS})\.(?!{_LETTER}[A-Za-z0-9é.]|-{_CHARACTER}{_CHARACTER})",
    # t-shirt, 10,000-foot, non-U.S.
    rf"{_CHARACTER}(?:{_CHARACTER}|[.,](?=[-‐]|{_CHARACTER})){{0,200}}"
    rf"(?:(?:-\xad?|‐|(?<![.,])_)(?:{_INITIALS}|{_CHARACTER}+))+(?:\.(?=[,;:]))?",
    r"[A-Z]+(?:[+&][A-Z]+)+",  # B&W
    r"[A-Za-z](?:\.[A-Za-z])+\.(?![A-Za-zé])",  # u.s., e.g.
    rf"[A-Za-z]\.(?!{_LETTER}|\s+(?:{_OPENERS})(?!\S))",
    rf"(?i:{_TITLES})\.(?!{_LETTER})",
    rf"(?i:{_NUMBERED})\.(?=\s*[0-9])",
    rf"(?:{_WORD}(?:[.!?]{_WORD})*|{_CHARACTER}+)\.(?=[,;:])",
    r"''",
    r"'[nN]'",
    r"'[0-9][0-9](?:s\b|(?!\S| 's))",
    r"'(?i:em|till?|cause)",
    r"'[tT](?= ?(?i:is|was))|(?<!\w)[dD]'(?i:ye)\b",
    r"[-+]?[0-9]*(?:[.,:٫\xad][0-9]+)+|[-+][0-9]+",  # 1,000 7:30 .5 -1
    r"(?i:ma'am|c'mon|c'est|ne'er|e'er|cap'n|nat'l|s'mores)\b",
    rf"(?:[djlnoy]|(?!I)[A-Z])['`]{_LETTER}{_CHARACTER}+",  # o'clock
    rf"{_LETTER}+[aeiouyAEIOUY]['`][aeiouA-Z]{_CHARACTER}*",  # hawai'i
    r"[djlDJL]'",
    r"[A-Z]+\$|[cC]\+\+|[cCfF]#",
    rf"{_WORD}(?:[.!?]{_WORD})*|{_CHARACTER}+",
    r"'(?i:s|m|d|re|ve|ll|n\b)(?![A-Za-z])",
    r"[<>]?[:;=][-o*']?[()DPdpO@|{\\\]\[](?![A-Za-z0-9])|[-^=~<>']_[-^=~<>']",  # :-) ^_^
    rf"#{_LETTER}+|@[A-Za-z_]\w*",
    r"\.{3,}|-{2,}",  # so that no number begins with their last point or dash
    r"<<|>>|(?:\\\*)+|[!?]{2,}|\*+|_+|#+|@+|²+|₂+|„{1,2}|[“”]{2}",
    # Other signs; single punctuation marks match nothing, and so are left out.
    r"[$%&()*+/<=>@\[\\\]^{|}~§£⁄]",
]
# The space is taken along: trying every rule on it in vain would double the time.
_TOKEN = re.compile(f" ?({'|'.join(_RULES)})")
_NAMED = (("&amp;", "&"), ("&quot;", '"'), ("&apos;", "'"), ("&nbsp;", "\u00a0"), ("&mdash;", "—"), ("&ndash;", "–"))
_PRINTED_AS = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
    "&lt;": "<", "&gt;": ">",
    "cannot": "can not", "gonna": "gon na", "gotta": "got ta", "wanna": "wan na", "gimme": "gim me", "lemme": "lem me",
    "½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3",
    "¢": "cents", "£": "#", "\x80": "$", "¤": "$", "₠": "$", "€": "$",
}  # fmt: skip
_INSIDE = str.maketrans({"(": "-lrb-", ")": "-rrb-", " ": "\u00a0", "\u00ad": ""})
_QUOTED_TWICE = re.compile("[‘’‛“”«»\x91-\x94]{2}")  # what the jar takes as one sign
_QUOTES = str.maketrans({
    "‘": "`", "‛": "`", "\x91": "`", "’": "'", "\x92": "'",
    "“": "``", "«": "``", "\x93": "``", "”": "''", "»": "''", "\x94": "''",
})  # fmt: skip
# Where contractions are set apart: do-n't, dog-'s, y'-all, rock-'n'-roll, 't-is.
_SEAMS = re.compile(
    r"(?<=\b[yY]')(?=all\b)|(?<=\w)(?='[nN]'\w)|(?<=\w'[nN]')(?=\w)|(?<=\w)(?=[nN]['`][tT](?!\w))"
    r"|(?<=\w)(?=(?i:'(?:s|m|d|re|ve|ll)|(?<!cap)'n\b)(?![A-Za-z']))|(?<=(?<!\w)'[tT])(?=(?i:is|was))"
)
_CONTRACTION = re.compile(r"(?i:n['`]t|'(?:s|m|d|re|ve|ll|n))")


def ptb_tokenize(captions: Sequence[str]) -> list[str]:
    """Tokenize captions as coco-caption does before every metric.

    Args:
        captions: raw text; line separators inside a caption are spaces, so one caption in is one caption out.

    Returns:
        tokens in lower case, joined by single spaces, punctuation left out; "" where nothing is left. As the Java tool
        has it, "1 1/2" and a tag are one token, with no-break spaces inside. A caption never looks at the next one,
        while the Java tool reads over the end of the line to tell whether a point belongs to a last single letter.

    Raises:
        UserError: one text is given, and no list.
    """
    check_captions(captions)
    return [" ".join(_tokens(caption)) for caption in captions]


def _tokens(caption: str) -> list[str]:
    text = caption.replace("\n", " ")
    if "&" in text:
        for name, sign in _NAMED:
            text = text.replace(name, sign)
    shape = _QUOTED_TWICE.sub("““", text).translate(SHAPES)
    if "'" in shape or "`" in shape:
        text, shape = _apart(text, shape)
    found = []
    for match in _TOKEN.finditer(shape):
        begin, end = match.span(1)
        token = text[begin:end].lower()
        if printed := _PRINTED_AS.get(token) or (token if token.isalnum() else _printed(token, shape[begin:end])):
            found.append(printed)
    return found


def _printed(token: str, shape: str) -> str:
    """Return a token with signs in it as it is printed; "" of punctuation."""
    if not shape.strip(".-‐'\xad"):
        return token if token.startswith("-----") else ""  # four dashes are still punctuation
    if _CONTRACTION.fullmatch(shape):
        return token.translate(_QUOTES)
    if not shape.strip("“”"):
        quotes = token.translate(_QUOTES)
        return "" if quotes in ("``", "''") else quotes
    return token.translate(_INSIDE)


def _apart(text: str, shape: str) -> tuple[str, str]:
    """Set contractions apart by spaces, in a text and in its shape."""
    ends = [seam.end() for seam in _SEAMS.finditer(shape)]
    spans = list(zip([0, *ends], [*ends, len(shape)], strict=True))
    return " ".join(text[begin:end] for begin, end in spans), " ".join(shape[begin:end] for begin, end in spans)
