"""Tokens against Stanford's jar, as coco-caption calls it; the expected strings were printed by the jar."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_caption.metrics import ptb_tokenize

# fmt: off
FROM_THE_JAR = [
    ("A man's dog isn't running; he can't, won't, couldn't've.",
     "a man 's dog is n't running he ca n't wo n't could n't 've"),
    ('"Hello," she said, \'stop\' it\'s the dogs\' bowl',
     "hello she said stop it 's the dogs bowl"),
    ("They're we've I'm you'll he'd gonna wanna cannot gotta",
     "they 're we 've i 'm you 'll he 'd gon na wan na can not got ta"),
    ('black/white and and/or t-shirt mother-in-law pit-bull - dash -- double --- triple',
     'black/white and and/or t-shirt mother-in-law pit-bull dash double triple'),
    ('Mr. Smith, Dr. Who, St. Louis, U.S. flag, U.S.A. e.g. this i.e. that etc. 5 p.m. a.m.',
     'mr. smith dr. who st. louis u.s. flag u.s.a. e.g. this i.e. that etc. 5 p.m. a.m.'),
    ('It costs $5.00, 1,000 people, 50% off, 3.5, 1/2, 7:30, #1 & no. 5',
     'it costs $ 5.00 1,000 people 50 % off 3.5 1/2 7:30 # 1 & no. 5'),
    ('end of sentence. Another one... and more.... ok',
     'end of sentence another one and more ok'),
    ('(in parentheses) [brackets] {braces} <tag> a@b.com http://www.x.com/a',
     '-lrb- in parentheses -rrb- -lsb- brackets -rsb- -lcb- braces -rcb- <tag> a@b.com http://www.x.com/a'),
    ("rock'n'roll o'clock 'n' y'all ma'am d'oh 90's '90s",
     "rock 'n' roll o'clock 'n' y' all ma'am d'oh 90 's '90s"),
    ('wow!! what?! ok?. yes!',
     'wow !! what ?! ok yes'),
    ('two  spaces\ttab café naïve “quoted” ‘single’ en–dash em—dash ellipsis… ',
     'two spaces tab café naïve quoted single en dash em dash ellipsis'),
    ('Jr. Inc. vs. Co. Ltd. x-ray x.y a.b.c john@ #hashtag @user *star* a_b_c + = ~ ^ | \\',
     'jr. inc. vs. co. ltd. x-ray x.y a.b.c john @ #hashtag @user * star * a_b_c + = ~ ^ | \\'),
    ('man,woman dog.cat dog:cat dog;cat "a "b a" b"',
     'man woman dog.cat dog cat dog cat a b a b'),
    ('size 10x12 5\'10" 6ft 2nd 1980s 10-year-old 12" 3-D',
     'size 10x12 5 10 6ft 2nd 1980s 10-year-old 12 3-d'),
    ("lets let's 'tis 'twas d'ye more'n whaddya gimme lemme dunno",
     "lets let 's 't is 't was d'ye more 'n whaddya gim me lem me dunno"),
    ('St. Bernard. No. Yes. A. B. the U.S. the corp. at 5 p.m. Then',
     'st. bernard no yes a. b. the u.s. the corp. at 5 p.m. then'),
    ("A boy eats M&M's and listens to R&B at 5:10pm , not r&b",
     "a boy eats m&m 's and listens to r&b at 5:10 pm not r & b"),
    ('The letter " P. " is on his shirt',
     'the letter p. is on his shirt'),
    ('The letter A. The man sees it . A. Smith too',
     'the letter a the man sees it a. smith too'),
    ("A Hawai'i surfer reads the qur'an at o'clock 's",
     "a hawai'i surfer reads the qur an at o'clock 's"),
    ('see fig. 5 , no. 7 or nos. 3 .',
     'see fig. 5 no. 7 or nos. 3'),
    ('Mass. Ave. in Wash. D.C. , a mass. of people wash. the',
     'mass. ave. in wash. d.c. a mass of people wash the'),
    ('a man happy :) ;-) or sad :( .',
     'a man happy :-rrb- ;--rrb- or sad :-lrb-'),
    ('$5.00pm 2.5gb 10.5x3 -1 12:30-1:30 v1.2 1,000s',
     '$ 5.00 pm 2.5 gb 10.5 x3 -1 12:30 -1:30 v1 .2 1,000 s'),
    ('a/b/c/d ab-cd-ef/gh w/ 1/2/3/4 2-3/4 3/4-inch 1/2-in.',
     'a/b/c / d ab-cd-ef/gh w / 1/2/3 / 4 2-3/4 3/4-inch 1/2-in'),
    ("'em 'til 'cause 'tis '70s '70's '12:48pm' 'Empty'",
     "'em 'til 'cause 't is '70s 70 's 12:48 pm 'em pty"),
    ("10 ft. , 5 in., tall . 5'10 US$ 5 C++ and C#",
     "10 ft. 5 in. tall 5 '10 us$ 5 c++ and c#"),
    ("a.m.-5 U.S.-based non-U.S. A.B.C.'s p.m.s 10p.m.",
     "a.m.-5 u.s.-based non-u.s. a.b.c. 's p.m.s 10p m."),
    ('dog.Cat man!!woman ab..cd ab....  ef **a** __ ## @@',
     'dog.cat man !! woman ab cd ab ef ** a ** __ ## @@'),
    ('&amp; AT&amp;T &quot;quoted&quot;',
     '& at&t quoted'),
    ("m³ café's café été-bar 😀 smile ½ cup",
     "m ³ café 's café été-bar smile 1/2 cup"),
]
# fmt: on


@pytest.mark.parametrize(("caption", "expected"), FROM_THE_JAR)
def test_tokens_are_those_that_the_jar_prints(caption, expected):
    assert ptb_tokenize([caption]) == [expected]


def hard_captions():
    """Made by hand to be hard; with each what the jar printed."""
    lines = (Path(__file__).parent / "hard_captions.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def test_hard_captions_have_the_tokens_that_the_jar_prints():
    assert len(hard_captions()) > 500
    wrong = [(raw, ours, jar) for raw, jar in hard_captions() if (ours := ptb_tokenize([raw])[0]) != jar]
    assert wrong == []


# Captions of which rules alone, in Python's regular expressions, do not always give what the jar's automaton does.
MAY_DIFFER = {"piles of 4 to 12 ASCII characters": 1, "mixed scripts, digits, joiners and controls (Hypothesis)": 1}


def test_captions_of_every_kind_have_the_tokens_of_the_jar():
    """The jar's answers were written down by `experiments/metric_parity/kinds.py`."""
    lines = (Path(__file__).parent / "ptb_kinds.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) >= 900
    wrong = [row for row in rows if ptb_tokenize([row["caption"]]) != [row["tokens"]]]
    by_kind = Counter(row["kind"] for row in wrong)
    assert by_kind.pop("the same, glued together", 0) <= 12  # nonsense such as "St.-D.’s", 6% of it
    assert all(MAY_DIFFER.get(kind, 0) >= count for kind, count in by_kind.items()), wrong


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
        ("ভাষা தமிழ் ภาษาไทย จ้ำ", "ভাষা தமிழ் ภาษาไทย จ้ำ"),
        ("مُحَمَّد עִבְרִית", "مُحَمَّد עִבְרִית"),
        ("❤\ufe0f dog", "❤ dog"),
        ("a\u200db a\u2060b a\x01b \u200d", "a b a b a b"),
        ("at 23 3/4 St D.", "at 23\u00a03/4 st d."),
        ("a <b c> tag", "a <b\u00a0c> tag"),
        ("the letter D.", "the letter d."),
    ],
)
def test_scripts_joiners_and_fractions(caption, expected):
    assert ptb_tokenize([caption]) == [expected]


@pytest.mark.parametrize("separator", ["\n", "\r", "\x85", "\u2028", "\x0b", "\x1c"])
def test_line_separators_inside_a_caption_do_not_shift_the_others(separator):
    assert ptb_tokenize([f"a dog{separator}runs", "a cat"]) == ["a dog runs", "a cat"]


def test_nothing_left_is_an_empty_caption():
    assert ptb_tokenize(["", " . ", "..."]) == ["", "", ""]


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_text_gives_words_joined_by_single_spaces(text):
    (tokens,) = ptb_tokenize([text])
    assert all(tokens.split(" ")) or not tokens
    assert tokens == tokens.lower()
    assert not set(tokens) & set("\n\r\v\f\x85\u2028\u2029")


@given(st.text("a.,-_'/&@<1 A", max_size=400))
@settings(deadline=None)
def test_the_rules_end_on_any_pile_of_signs(text):
    assert len(ptb_tokenize([text, text])) == 2


@pytest.mark.parametrize(
    "pile",
    ["a" + "." * 3000, "a." * 1500, "a-" * 1500, "'" * 3000, "<a" * 1500, "x@" * 1500, "<a" + " " * 9000, "<!a" * 1500],
)
def test_no_rule_takes_exponential_time(pile):
    # A rule with two ways to read the same signs would not come back from any of these.
    assert len(ptb_tokenize([pile])) == 1


needs_java = pytest.mark.skipif(
    shutil.which("java") is None, reason="the jar itself is asked where Java is; its answers above hold anyway"
)


def from_the_jar(captions):
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    told = PTBTokenizer().tokenize({row: [{"caption": caption}] for row, caption in enumerate(captions)})
    return [told[row][0] for row in range(len(captions))]


@needs_java
def test_the_jar_says_so_today():
    cases = [*FROM_THE_JAR, *hard_captions()]
    assert from_the_jar([raw for raw, _ in cases]) == [expected for _, expected in cases]


PIECES = """
a man A dog The woman Two girls it's don't can't. they're he'll, girl's boys' T-shirt black/white and/or mother-in-law
"Hello," 'stop' (on) [the] grass, beach; red: blue! green? what?! wow!! -- - ... U.S. D.C. p.m. Mr. St. Dr. Ave. etc.
5 10 2nd 1950s 1950's 10-year-old 5:10pm 1,000 3.5 1/2 #1 #5 $5 $5.00 50% R&B M&M's & o'clock 'n' cannot gonna y'all
café naïve “quoted” ‘single’ w/ 4x4 10,000-foot A. B. no. No. 'em street.The dog,cat one-handed, @user *star* http://a.b/c
"""


@needs_java
def test_pieces_in_any_order_give_the_tokens_of_the_jar():
    draw = random.Random(0)
    # The last full stop: the jar looks over the end of the line to tell what a last point belongs to.
    captions = [" ".join([*draw.choices(PIECES.split(), k=draw.randint(1, 12)), "there ."]) for _ in range(3000)]
    assert ptb_tokenize(captions) == from_the_jar(captions)
