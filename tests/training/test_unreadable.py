"""Images that cannot be read: a run that is taken up leaves out the same."""

from __future__ import annotations

import json

import pytest

from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.errors import UserError
from gan_caption.training.unreadable import UNREADABLE, keep_left_out, left_out

SPLIT = Split("train", [CaptionedImage(name, ("a ball",)) for name in "abcd"])


def test_what_was_left_out_is_noted_until_the_run_has_learned_and_held_to_then(tmp_path):
    assert left_out(SPLIT, SPLIT) == []
    lost = left_out(SPLIT, SPLIT.select([0, 2]))
    assert lost == ["b", "d"]
    keep_left_out(tmp_path, {"train": [], "val": []})
    keep_left_out(tmp_path, {"train": lost, "val": []})  # nothing was learned yet
    assert json.loads((tmp_path / UNREADABLE).read_text()) == {"train": ["b", "d"], "val": []}
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.pt").touch()
    keep_left_out(tmp_path, {"train": lost, "val": []})
    with pytest.raises(UserError, match=r"of train, this run has learned without \['b', 'd'\], and now \['b'\] cannot"):
        keep_left_out(tmp_path, {"train": ["b"], "val": []})
    (tmp_path / UNREADABLE).unlink()  # a run of an earlier version
    keep_left_out(tmp_path, {"train": ["b"], "val": []})
