"""Counting with little memory gives what counting in memory gives, exactly."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tracemalloc
from collections import Counter
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_caption import counting
from gan_caption.counting import counted
from gan_caption.errors import UserError
from gan_caption.metrics import DocumentFrequencies
from tests.documents import ROOT


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(counting, "_CHUNK", 3)


with closing(sqlite3.connect("")) as _disk:
    IN_MEMORY = bool({("TEMP_STORE=2",), ("TEMP_STORE=3",)} & {*_disk.execute("PRAGMA compile_options")})
LIMITED = """
import resource, signal
from gan_caption.counting import counted
from gan_caption.errors import UserError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    list(counted((f"{number:099d}" for number in range(200_000)), at_once=1000))
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(IN_MEMORY, reason="this SQLite keeps temporary tables in memory")
def test_a_disk_without_room_is_told_in_one_line():
    """The limit on file sizes makes any disk fail."""
    command = [sys.executable, "-c", LIMITED]
    told = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True).stdout
    assert told.endswith("make room for temporary files, or set SQLITE_TMPDIR to a folder that has some\n")
    assert told.count("\n") == 1


@given(st.lists(st.text(), max_size=60), st.integers(0, 5))
def test_counts_are_exact_however_little_fits_in_memory(texts, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_CHUNK", 3)
        found = list(counted(iter(texts), at_once=at_once))
    assert found == sorted(Counter(texts).items())


def test_what_does_not_fit_goes_to_disk(monkeypatch):
    monkeypatch.setattr(counting, "_CHUNK", 100)
    opened = []
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda name: opened.append(real(name)) or opened[-1])

    def peak(at_once: int) -> tuple[int, int]:
        """Bytes of Python's objects at most, and rows that went to disk."""
        tracemalloc.start()
        texts = (f"{number % 20_000:060d}" for number in range(40_000))
        written = 0
        for place, (text, count) in enumerate(counted(texts, at_once=at_once)):
            assert (text, count) == (f"{place:060d}", 2)
            written = opened[-1].total_changes
        assert place == 19_999
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used, written

    whole, none = peak(20_000)
    parts, some = peak(500)
    assert none == 0
    assert some == 40_000
    assert parts < whole / 8
    for disk in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            disk.execute("SELECT 1")


@pytest.mark.parametrize("at_once", [0, 9])
def test_any_text_can_be_counted(at_once):
    texts = ["\n", "a\nb", "", "\ud800", "\uffff", "\U00010000", "é", "é", "a\x00b", "a"]
    assert list(counted(texts, at_once=at_once)) == sorted(Counter(texts).items())


def references(images: int) -> list[list[str]]:
    """Captions of a Zipf-like language, a few of each image, so that n-grams of every length recur."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(40)])
    weights = 1 / np.arange(1, 41)
    sizes = rng.integers(1, 4, images)
    return [
        [" ".join(rng.choice(words, rng.integers(1, 9), p=weights / weights.sum())) for _ in range(size)]
        for size in sizes
    ]


@pytest.mark.parametrize("at_once", [20, 1_000_000])
def test_document_frequencies_in_one_pass_are_those_of_a_plain_count(tmp_path, small_chunks, at_once):
    texts = references(300)
    plain = Counter()
    for own in texts:
        split = [text.split() for text in own]
        plain.update(
            {tuple(words[i : i + n]) for words in split for n in range(1, 5) for i in range(len(words) - n + 1)}
        )
    DocumentFrequencies.of_many(iter(texts), at_once=at_once).save(tmp_path / "many.json")
    told = json.loads((tmp_path / "many.json").read_text())
    assert told["images"] == 300
    assert told["counts"] == {" ".join(gram): n for gram, n in plain.items() if n >= 2 or len(gram) == 1}
    assert {len(gram.split()) for gram in told["counts"]} == {1, 2, 3, 4}


def test_cider_d_is_the_same_with_either_count():
    from gan_caption.metrics.cider import CiderD

    texts = references(60)
    candidates = [own[0] for own in references(120)[60:]]
    plain = CiderD(texts).score(range(60), candidates)
    assert plain.max() > 0
    np.testing.assert_allclose(CiderD(texts, DocumentFrequencies.of_many(texts)).score(range(60), candidates), plain)


def test_one_image_tells_nothing():
    with pytest.raises(UserError, match=r"1 image\(s\) tell nothing"):
        DocumentFrequencies.of_many([["a dog"]])
