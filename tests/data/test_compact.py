from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gan_caption.data.compact import Groups, Numbers, Texts, TextSet
from gan_caption.data.corpus import CaptionedImage, CaptionedImages
from gan_caption.errors import UserError


@given(some.lists(some.text()))
def test_texts_come_back(texts):
    assert list(Texts(texts)) == texts
    assert Texts(iter(texts))[:2] == texts[:2]


@given(some.lists(some.lists(some.integers(min_value=0, max_value=2**40))))
def test_numbers_come_back(lists):
    assert list(Numbers(lists)) == lists


@given(some.lists(some.lists(some.text(max_size=3), max_size=4)))
def test_groups_come_back(groups):
    flat = Texts(text for own in groups for text in own)
    assert list(Groups(flat, map(len, groups))) == groups


def test_places_count_from_both_ends_and_end():
    texts = Texts(["a", "bc", ""])
    assert (texts[-1], texts[-2], texts[0]) == ("", "bc", "a")
    with pytest.raises(IndexError):
        texts[3]
    assert texts[::-1] == ["", "bc", "a"]
    assert "bc" in texts
    assert texts != Texts(["a", "bc"])


@given(some.sets(some.text()), some.text())
def test_a_set_knows_its_texts(texts, other):
    known = TextSet(texts)
    assert all(text in known for text in texts)
    assert (other in known) == (other in texts)
    assert 3 not in known


def test_captioned_images_come_back():
    items = [
        CaptionedImage("a.jpg", ("one dog .", "Ein Hund läuft"), Path("/far/a.jpg")),
        CaptionedImage("b", ("two",)),
    ]
    found = CaptionedImages(items)
    assert list(found) == items
    assert found[1] == items[1]


def test_where_there_is_no_room_for_captions_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"none can be written .*set TMPDIR to a folder that has some"):
        Texts(["a dog"])
